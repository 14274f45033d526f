"""What a bucket's rules say of versions that were deleted."""

import pytest

from processors.storage.bucket_versions import days_kept, is_versioned

SPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
END = "<NoncurrentVersionExpiration><NoncurrentDays>{}</NoncurrentDays></NoncurrentVersionExpiration>"
NEWER = "<NewerNoncurrentVersions>1</NewerNoncurrentVersions>"
ON, OFF = "<Status>Enabled</Status>", "<Status>Disabled</Status>"


@pytest.mark.parametrize("space", ["", SPACE])
@pytest.mark.parametrize("status, kept", [(ON, True), ("<Status>Suspended</Status>", False), ("", False)])
def test_a_bucket_keeps_versions_while_that_is_enabled(space: str, status: str, kept: bool) -> None:
    assert is_versioned(f"<VersioningConfiguration{space}>{status}</VersioningConfiguration>".encode()) is kept


@pytest.mark.parametrize(
    "rules, days",
    [
        ([], "for ever"),
        ([ON + END.format(7)], 7),
        ([ON + END.format(7), ON + "<Prefix>below/</Prefix>" + END.format(2)], 2),
        ([ON + "<Filter><Prefix></Prefix></Filter>" + END.format(1)], 1),
        ([OFF + END.format(7)], "for ever"),
        ([ON + "<Filter><Prefix>other/</Prefix></Filter>" + END.format(7)], "for ever"),
        ([ON + "<Filter><Prefix>below/assets/</Prefix></Filter>" + END.format(7)], "for ever"),
        ([ON + "<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>" + END.format(7)], "for ever"),
        ([ON + "<Filter><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter>" + END.format(7)], "for ever"),
        ([ON + END.format(7).replace("<NoncurrentDays>", f"{NEWER}<NoncurrentDays>")], "for ever"),
        ([ON + "<Expiration><Days>1</Days></Expiration>"], "for ever"),
        ([ON + END.format(7).replace("Expiration", "Transition")], "for ever"),
    ],
)
@pytest.mark.parametrize("space", ["", SPACE])
def test_old_versions_end_by_an_enabled_rule_for_every_object(space: str, rules: list[str], days: object) -> None:
    listed = "".join(f"<Rule>{rule}</Rule>" for rule in rules)
    assert days_kept(f"<LifecycleConfiguration{space}>{listed}</LifecycleConfiguration>".encode(), "below/") == days
