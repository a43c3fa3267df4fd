import pytest

from config.env import SETTINGS, Environment, SettingError


def test_an_unknown_setting_of_ours_stops_the_start_with_its_name() -> None:
    with pytest.raises(SettingError, match="SHIPWORTHY_PROT is not a setting"):
        Environment({"SHIPWORTHY_PROT": "8000"})


def test_other_programs_variables_are_none_of_our_business() -> None:
    environment = Environment({"PATH": "/bin", "LANG": "C"})
    assert environment.text("SHIPWORTHY_ENVIRONMENT") == "development"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("SHIPWORTHY_PORT", "eighty", "1 to 65535"),
        ("SHIPWORTHY_PORT", "0", "1 to 65535"),
        ("SHIPWORTHY_PORT", "80.5", "1 to 65535"),
        ("SHIPWORTHY_FRONT_WORKERS", "-1", "at least 1"),
    ],
)
def test_a_wrong_number_is_named_with_its_value_and_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingError) as raised:
        Environment({name: value}).count(name)
    said = str(raised.value)
    assert name in said
    assert value in said
    assert allowed in said


def test_a_wrong_choice_names_the_choices() -> None:
    environment = Environment({"SHIPWORTHY_ENVIRONMENT": "prod"})
    with pytest.raises(SettingError, match="development, test or production"):
        environment.text("SHIPWORTHY_ENVIRONMENT")


def test_a_flag_is_true_or_false_and_nothing_else() -> None:
    assert Environment({"SHIPWORTHY_HTTPS": "yes"}).flag("SHIPWORTHY_HTTPS")
    assert not Environment({}).flag("SHIPWORTHY_HTTPS")
    with pytest.raises(SettingError, match="'maybe'"):
        Environment({"SHIPWORTHY_HTTPS": "maybe"}).flag("SHIPWORTHY_HTTPS")


def test_a_secret_is_never_repeated_in_an_error() -> None:
    secrets = [s for s in SETTINGS if s.secret]
    assert {"DATABASE_URL", "SHIPWORTHY_SECRET_KEY"} <= {s.name for s in secrets}
    for setting in secrets:
        refusal = Environment._refusal(setting, "hunter2-hunter2")
        assert "hunter2" not in str(refusal)


def test_every_default_can_be_read() -> None:
    environment = Environment({})
    read = {
        "text": environment.text,
        "flag": environment.flag,
        "count": environment.count,
        "number": environment.number,
        "list": environment.items,
    }
    values = {setting.name: read[setting.kind](setting.name) for setting in SETTINGS}
    assert values["SHIPWORTHY_PORT"] == 8000
