"""The attack on isolation, short, and the faults planted by hand, in the attack's own files, that it must find."""

import pytest

from tests.attack import isolation, planted
from tests.attack.target import Broken


def test_organizations_keys_catalogs_and_backups_in_any_order_are_as_the_model() -> None:
    figures = isolation.attack(25)
    assert figures["examples"] >= 25
    assert figures["answers"] > 3000
    assert figures["walks"] > 3


@pytest.mark.parametrize(
    ("fault", "evidence"),
    [
        ("a_page_of_all_organizations", "/v1/sessions"),
        ("an_etag_without_the_catalog", "stands for|, not {'data'"),
        ("an_etag_without_the_revision", "stands for|, not {'data'"),
        ("a_key_that_outlives_its_end", "a key that is not good: 200"),
    ],
)
def test_a_planted_fault_is_found(fault: str, evidence: str) -> None:
    with planted.FAULTS[fault](), pytest.raises(Broken, match=evidence):
        isolation.attack(200, shrink=False)


def test_a_trigger_that_is_missing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "spoil", planted.drop_a_trigger)
    with pytest.raises(Broken, match=r"everruns check|/v1/sessions"):
        isolation.attack(50, shrink=False)
