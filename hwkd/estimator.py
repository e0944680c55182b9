"""A search as a classifier of scikit-learn: `from hwkd.estimator import HwkdClassifier`."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

import hwkd
from hwkd.core.errors import ConfigError
from hwkd.core.soft_answers import probabilities
from hwkd.tasks.classes_head import ClassesHead

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from hwkd.api.outcome import SearchOutcome


class HwkdClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Searches, distils and quantises the best small network for a device, and answers with it.

    `fit` is `hwkd.search`; predictions come from the int8 file that ships, so a score is that of
    the chip. Examples are vectors, [n, features], or signals and pictures as `hwkd.search` takes
    arrays.

    Args:
        device: name of a device, see `hwkd.devices()`.
        max_latency: of one inference, as "20ms".
        max_ram: as "64KiB"; None is the device's.
        max_flash: as "256KiB"; None is the device's.
        timeout: bound on the whole of `fit`, as "10min".
        seed: same seed and one worker, same result.
        workers: processes; None is one per core.
        out: run folder, for the report and for `hwkd.export`; None keeps none.
        options: further ones of `hwkd.search` by name, none of the above.

    Attributes:
        classes_: labels in the order of the probabilities.
        n_features_in_: of one example: the size of its first axis.
        found_: what the search returned, of a folder that is gone where `out` is None.
    """

    def __init__(
        self,
        device: str = "cortex-m4",
        *,
        trials: int = 20,
        max_latency: str | None = None,
        max_ram: str | None = None,
        max_flash: str | None = None,
        timeout: str | None = None,
        seed: int = 0,
        workers: int | None = None,
        out: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the options; `fit` checks them."""
        self.device = device
        self.trials = trials
        self.max_latency = max_latency
        self.max_ram = max_ram
        self.max_flash = max_flash
        self.timeout = timeout
        self.seed = seed
        self.workers = workers
        self.out = out
        self.options = options

    def fit(self, X: ArrayLike, y: ArrayLike) -> HwkdClassifier:  # noqa: N803
        """Search on labelled examples.

        Raises:
            HwkdError: in one line, if an option or the data is wrong, or nothing fits.
        """
        self._require_options()
        inputs, labels = validate_data(self, X, y, allow_nd=True, dtype=_KEEPS_TYPE)
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("HwkdClassifier needs at least two classes; y has one class")
        with TemporaryDirectory() as place:
            self.found_: SearchOutcome = hwkd.search(
                self.device,
                data=(inputs, numbers),
                trials=self.trials,
                max_latency=self.max_latency,
                max_ram=self.max_ram,
                max_flash=self.max_flash,
                timeout=self.timeout,
                seed=self.seed,
                workers=self.workers,
                out=Path(place) / "run" if self.out is None else self.out,
                **dict(self.options or {}),
            )
            if self.found_.best is None:
                raise hwkd.HwkdError("no student was trained in full; leave final=False out")
            self._network = self.found_.best.network()
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Return the probability of each class, [n, classes], in the order of `classes_`."""
        return probabilities(self._outputs(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the likeliest class of each example."""
        # Its names are the numbers that `fit` gave the classes.
        outputs = self._outputs(X)
        names = ClassesHead.numbered(outputs.shape[1]).answers(outputs, np.asarray(X))
        likeliest: NDArray[Any] = self.classes_[names]
        return likeliest

    def _require_options(self) -> None:
        """Refuse options that `search` does not have, or that are given elsewhere."""
        known, own = signature(hwkd.search).parameters, self.get_params(deep=False)
        for name in self.options or {}:
            if name in own:
                raise ConfigError(
                    f"options: {name!r} is an argument of HwkdClassifier; give "
                    f"HwkdClassifier({name}=...)"
                )
            if name == "data":
                raise ConfigError("options: 'data' is what fit is given; leave it out")
            if name not in known:
                near = get_close_matches(name, list(known), n=1)
                meant = f"did you mean {near[0]!r}?" if near else "see help(hwkd.search)"
                raise ConfigError(f"options: hwkd.search has no option {name!r}; {meant}")

    def _outputs(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        check_is_fitted(self)
        inputs = validate_data(self, X, reset=False, allow_nd=True, dtype=_KEEPS_TYPE)
        return self._network.outputs(inputs)

    def __sklearn_tags__(self) -> Tags:
        """Say what it takes: numbers without gaps, and no promise on a handful of examples."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.classifier_tags.poor_score = True
        tags.non_deterministic = self.workers != 1
        return tags


# Of the inputs: bytes of pictures stay bytes, which the network's preprocessing is fitted to.
_KEEPS_TYPE = "numeric"
