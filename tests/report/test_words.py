"""Words of interventions, facts and scores: they come from the data set."""

from counterfactory.data.dataset import Dataset, Variable
from counterfactory.report.queries import query_words
from counterfactory.report.vocabulary import describe_score, fact_words, set_title, value_words

SMILING = Variable("Smiling", "categorical", classes=2, names=("no", "yes"))
SEX = Variable("sex", "categorical", classes=2, names=("male", "female"))
HAIR = Variable("hair", "categorical", classes=3, names=("black", "brown", "grey"))
DIGIT = Variable("digit", "categorical", classes=10)
FACES = Dataset("toy", (SMILING, SEX, DIGIT), (), (1, 8, 8), False, labels=(HAIR,))


def test_titles_of_interventions():
    assert set_title("thickness") == "do(thickness)" and set_title("none") == set_title("") == "null"
    assert set_title("thickness+intensity") == "do(thickness, intensity)"
    assert set_title("thickness=4") == "do(thickness = 4)"


def test_facts():
    assert (
        fact_words("Smiling", 1, SMILING) == "Smiling" and fact_words("Smiling", 0, SMILING) == "not Smiling"
    )
    assert fact_words("sex", 1, SEX) == "sex female" and fact_words("digit", 3, DIGIT) == "digit 3"
    assert fact_words("long_nose", 0, None) == "not long nose" and value_words(HAIR, 2) == "grey"
    query = {"given": {"Smiling": 0, "hair": 2, "big": 1}, "premise": {"Smiling": 1, "digit": 8}, "by": "do"}
    assert query_words(query, FACES) == (
        "given not Smiling, hair grey, big: what if it were set to be Smiling, digit 8?"
    )


def test_scores_of_binary_variables():
    assert describe_score("f1_Smiling", FACES).title == "Smiling F1"
    assert describe_score("balanced_accuracy_Smiling", FACES).title == "Smiling balanced accuracy"
    assert {describe_score(f"{kind}_sex", FACES).better for kind in ("f1", "balanced_accuracy")} == {"higher"}
