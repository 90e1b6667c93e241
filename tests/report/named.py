"""A data set whose classes have names, some of them, and a continuous variable."""

from counterfactory.data.dataset import Dataset, Variable

NAMED = Dataset(
    "folder",
    (
        Variable("holes", "categorical", classes=2, names=("no", "yes")),
        Variable("season", "categorical", classes=3, names=("autumn", "spring", "summer")),
        Variable("length", "continuous", "cm", 3.0, 12.0),
    ),
    (),
    (3, 16, 16),
    False,
    (
        Variable("sex", "categorical", classes=2, names=("female", "male")),
        Variable("old", "categorical", classes=2),
    ),
)
