from __future__ import annotations

import pytest
from pydantic import ValidationError

from realtime_agent.server.schemas import TokenRequest, invalid_request, random_uid


def test_a_uid_that_the_server_chooses_is_never_0() -> None:
    uids = {random_uid() for _ in range(20)}
    assert len(uids) > 1
    assert all(0 < uid < 2**31 for uid in uids)


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ({}, ["channel_name"]),
        ({"channel_name": "room", "colour": "red"}, ["colour"]),
        ({"channel_name": "a/b", "uid": -1}, ["channel_name", "uid"]),
        ([], ["body"]),
    ],
)
def test_what_is_wrong_with_a_body_is_told_field_by_field(raw: object, fields: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        TokenRequest.model_validate(raw)
    assert [each.field for each in invalid_request(raw, caught.value).fields] == fields
