"""What resolvers promise: an id gives the spec that it names, and one that is none is refused in a sentence."""

from __future__ import annotations

from graftwork.errors import GraftworkError, PluginFault
from graftwork.plugins import registry
from graftwork.specs.backbone import Resolver
from graftwork.testing.cases import Given, Nonconformance, NotChecked, Registered, check, subject


@subject("resolvers")
class Resolving(Registered):
    """A resolver under test, and the names that are given to check it with."""

    def __init__(self, name: str, spec: Resolver, given: Given) -> None:
        super().__init__(name, spec, given)
        self.ids = [one for one in given.ids if spec.scheme and one.startswith(f"{spec.scheme}:")]


@check("resolvers")
def a_spec_is_called_as_it_was_asked_for(resolving: Resolving) -> None:
    if not resolving.ids:
        what = f"'{resolving.name}': conformance(..., ids=['{resolving.spec.scheme or 'local'}:ID'])"
        raise NotChecked(f"No id is given to check what is made by {what}.")
    for name in resolving.ids:
        spec = registry.backbone(name)
        if spec.name != name:
            raise Nonconformance(f"'{name}' gives a spec that is called '{spec.name}'.", f"Call it '{name}'.")
        if spec.as_json() != registry.backbone(name).as_json():
            raise Nonconformance(f"'{name}' gives another spec the second time.", "Make it of the id alone.")


@check("resolvers")
def what_is_no_id_is_refused_in_a_sentence(resolving: Resolving) -> None:
    if not resolving.spec.scheme:
        raise NotChecked(f"What config.json says is checked before '{resolving.name}' sees it.")
    for name in (f"{resolving.spec.scheme}:", f"{resolving.spec.scheme}:no such id"):
        try:
            registry.backbone(name)
        except PluginFault as error:
            raise Nonconformance(f"'{name}' ends in a fault: {error.message}", "Raise UnknownName there.") from error
        except GraftworkError as error:
            if "\n" in str(error):
                raise Nonconformance(f"Of '{name}' is said: {error}", "Say it in one sentence.") from error
        except Exception as error:
            raise Nonconformance(
                f"'{name}' ends in {type(error).__name__}: {error}.", "Raise UnknownName, in one sentence."
            ) from error
        else:
            raise Nonconformance(f"'{name}' gives a spec.", "Raise UnknownName for what is no id.")
