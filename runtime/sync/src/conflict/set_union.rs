//! Sets that texts list.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

/// All members of the sets, as the text of one: without repetition, in the order of the members' bytes. None where
/// there is no set.
pub(super) fn union<'a>(texts: impl Iterator<Item = &'a str>) -> Option<String> {
    let sets: Vec<BTreeSet<String>> = texts.map(members).collect();
    if sets.is_empty() {
        return None;
    }
    let members: BTreeSet<String> = sets.into_iter().flatten().collect();
    Some(format!("[{}]", members.into_iter().collect::<Vec<_>>().join(",")))
}

fn members(text: &str) -> BTreeSet<String> {
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(members) => members.into_iter().map(|member| canonical(member.get())).collect(),
        Err(_) => [quoted(text)].into(),
    }
}

/// Two members are one where these texts are equal. Numbers stay as they are written, since reading them could change
/// them.
fn canonical(member: &str) -> String {
    match serde_json::from_str::<String>(member) {
        Ok(text) => quoted(&text),
        Err(_) => without_space(member),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON without the white space between its words.
fn without_space(json: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let keep = |character: &char| {
        let kept = inside || !character.is_ascii_whitespace();
        match character {
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = inside && *character == '\\' && !escaped;
        kept
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(texts: &[&str], expect: Option<&str>) {
        assert_eq!(union(texts.iter().copied()).as_deref(), expect);
        let again = union(expect.into_iter().chain(texts.iter().rev().copied()));
        assert_eq!(again.as_deref(), expect, "once more, in another order");
    }

    #[test]
    fn members_come_once_and_in_order() {
        check(&[], None);
        check(&["[]"], Some("[]"));
        check(&["[\"b\", \"a\"]", "[\"c\",\"a\"]"], Some("[\"a\",\"b\",\"c\"]"));
        check(&["[1, 10, 2]", "[2, 2.0, null, true]"], Some("[1,10,2,2.0,null,true]"));
    }

    #[test]
    fn a_member_is_what_it_means() {
        check(&["[\"\\u0061\"]", "[ \"a\" ]"], Some("[\"a\"]"));
        check(&["[{ \"x\": [1, \"a b\\\" c\"] }]", "[{\"x\":[1,\"a b\\\" c\"]}]"], Some("[{\"x\":[1,\"a b\\\" c\"]}]"));
        check(
            &["[0.1000000000000000055, 1e999, 123456789012345678901234567890]"],
            Some("[0.1000000000000000055,123456789012345678901234567890,1e999]"),
        );
    }

    #[test]
    fn any_other_text_is_a_member() {
        check(&["red", "[\"red\"]", ""], Some("[\"\",\"red\"]"));
        check(&["{\"a\":1}", "[1"], Some("[\"[1\",\"{\\\"a\\\":1}\"]"));
        check(&["[\"\\ud800\"]"], Some("[\"\\ud800\"]"));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        check(&[&deep], Some(&deep));
        let deep = "[".repeat(1000);
        check(&[&deep], Some(&format!("[\"{deep}\"]")));
    }
}
