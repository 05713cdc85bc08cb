"""The captioner that is shipped, and Neural Image Caption, each with what it reached.

Figures are BLEU on Flickr8k's 1000 test pictures; times are of one core of an AMD EPYC (Zen 5, with
bfloat16 instructions) that did other work as well, the backbone's features left out.
"""

from collections.abc import Mapping
from dataclasses import replace

from training.devices import Devices
from training.optimisation import Optimisation
from training.settings import Training
from training.tasks.caption.config import Caption

#: ``sightline-train flickr8k --data Flickr8k``: BLEU-1 67.8, BLEU-4 24.1 after 38 minutes.
FLICKR8K = Caption(
    name="caption",
    description="A sentence for a photograph.",
    use=(
        "Says in a sentence what a photograph shows. It learned from 6,000 pictures of people and "
        "dogs, most of them outdoors and doing something: it uses some 200 words of the 2,500 it "
        "knows, describes other things in the words it has, and gets colours, numbers and what "
        "someone does wrong often. Not for people who must rely on a description of what they "
        "cannot see, nor for decisions about people: it repeats what those who wrote the captions "
        "assumed (of two people it says man and woman, boy and girl). Train it on pictures of your "
        "own with `sightline-train caption`."
    ),
    literature=(
        "Published on the same test pictures, BLEU-1 / 2 / 3 / 4: Neural Image Caption 63 / 41 / "
        "27 / -, Show, Attend and Tell with soft attention 67 / 44.8 / 29.9 / 19.5, with hard "
        "attention 67 / 45.7 / 31.4 / 21.3. Their pictures were not squashed to 224x224, as those "
        "seen here were; the last epochs here raised CIDEr, which theirs did not, and which BLEU "
        "gains by."
    ),
    licence="Apache-2.0",
    views=4,
    beams=5,
    optimisation=Optimisation(lr=1e-3, batch_size=32, weight_decay=1e-4),
    training=Training(epochs=16, warmup_epochs=1.0, clip_norm=5.0, ema=0.99),
    self_critical_epochs=4,
    devices=Devices(precision="bf16-mixed"),
    default=True,
)

#: ``sightline-train flickr8k-nic --data Flickr8k``: BLEU-1 58.4, BLEU-4 19.2 after
#: 22 minutes.
FLICKR8K_NIC = replace(FLICKR8K, name="caption-nic", network="nic", default=False)

#: ``sightline-train caption`` begins with these.
FOLDER = Caption()

PRESETS: Mapping[str, Caption] = {"flickr8k": FLICKR8K, "flickr8k-nic": FLICKR8K_NIC}
