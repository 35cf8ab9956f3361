"""Which model types of audio encoders are read: tables, so that nothing is guessed from a name."""

from collections.abc import Mapping

MAPPED = ("hubert", "wav2vec2", "wavlm")
"""Types whose layers are stages, by the same mapping."""

WHOLE: Mapping[str, str] = {
    "data2vec-audio": "Data2VecAudioModel",
    "sew": "SEWModel",
    "sew-d": "SEWDModel",
    "unispeech": "UniSpeechModel",
    "unispeech-sat": "UniSpeechSatModel",
    "wav2vec2-conformer": "Wav2Vec2ConformerModel",
}
"""Types whose layers have no stages here yet, and transformers' class for each."""
