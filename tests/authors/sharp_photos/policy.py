import graftwork as gw


class First(gw.FreezePolicy):
    """The stages next to the input train, for data that look unlike what the encoder has seen."""

    def __init__(self, count):
        self.count = count

    def plan(self, stages, epoch):
        return gw.Plan(tuple(gw.StagePlan(name, place < self.count) for place, name in enumerate(stages)))


def build(argument):
    if not argument.isdecimal() or int(argument) < 1:
        raise gw.UsageError(f"The freeze policy 'first' takes a number of stages; '{argument}' was given.", "first:1")
    return First(int(argument))
