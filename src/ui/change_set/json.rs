//! A change set as lines of JSON for programs.

use serde_json::{Map, Value as Json, json};

use super::BACKUPS_DELETED;
use crate::change::{Action, AttributeChange, Change, ChangeSet, Value};
use crate::model::Address;

/// What `xopero plan --json` prints after its first line: `change`, `impact`, `note`, `rail` and one `summary`. `places`
/// gives the place in the file at which an address is declared: `file`, `line` and `col`.
pub fn to_json_lines(set: &ChangeSet, places: &dyn Fn(&Address) -> Option<Json>) -> Vec<Json> {
    let touched = set.changes.iter().filter(|change| change.action != Action::Keep);
    let counts = set.counts();
    let summary = json!({
        "type": "summary",
        "plan_id": set.plan_id,
        "based_on": set.based_on,
        "add": counts.add,
        "change": counts.change,
        "move": counts.moved,
        "retire": counts.retire,
        "remove": counts.remove,
        "backups_deleted": BACKUPS_DELETED,
        "needs_approval": set.needs_approval(),
        "refused": set.is_refused(),
    });
    let notes = set.notes.iter().map(|note| typed("note", note));
    let rails = set.rails.iter().map(|rail| typed("rail", rail));
    let impacts = set.impacts.iter().map(|impact| typed("impact", impact));
    touched
        .map(|change| json_change(change, places(&change.address).as_ref()))
        .chain(impacts)
        .chain(notes)
        .chain(rails)
        .chain([summary])
        .collect()
}

fn typed(kind: &str, value: &impl serde::Serialize) -> Json {
    let mut object = Map::from_iter([("type".to_owned(), json!(kind))]);
    if let Ok(Json::Object(fields)) = serde_json::to_value(value) {
        object.extend(fields);
    }
    Json::Object(object)
}

fn json_change(change: &Change, at: Option<&Json>) -> Json {
    let attributes: Vec<Json> = change.attributes.iter().map(json_attribute).collect();
    json!({
        "type": "change",
        "address": change.address,
        "uid": change.uid,
        "action": change.action,
        "moved_from": change.moved_from,
        "risk": change.risk,
        "reasons": change.reasons,
        "attributes": attributes,
        "unchanged": change.unchanged,
        "at": at,
    })
}

fn json_attribute(attribute: &AttributeChange) -> Json {
    let AttributeChange { path, before, after, content } = attribute;
    let digest = |value: &Option<Value>| value.as_ref().and_then(Value::short_digest).map(str::to_owned);
    let (sealed_before, sealed_after) = (digest(before), digest(after));
    let (before, after) = (before.as_ref().map(json_value), after.as_ref().map(json_value));
    if sealed_before.is_some() || sealed_after.is_some() {
        json!({
            "path": path, "before": before, "after": after, "sensitive": true,
            "sealed_before": sealed_before, "sealed_after": sealed_after, "content": content,
        })
    } else {
        json!({ "path": path, "before": before, "after": after })
    }
}

fn json_value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Number(number) => json!(number),
        Value::Duration(_) => json!(value.to_string().trim_matches('"')),
        Value::Set(items) => json!(items),
        Value::Sealed { .. } => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::many_changes;
    use super::*;
    use crate::model::Sealed;

    #[test]
    fn programs_get_one_object_for_each_change_and_a_summary() {
        let set = many_changes();
        let place = json!({"file": "xopero.kdl", "line": 84, "col": 1});
        let lines = to_json_lines(&set, &|address| (address.as_str() == "plan/hot").then(|| place.clone()));
        let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
        assert_eq!(
            kinds,
            ["change", "change", "change", "change", "change", "impact", "note", "rail", "rail", "summary"]
        );
        let token = &lines[0]["attributes"][0];
        assert_eq!((&token["before"], &token["sensitive"]), (&Json::Null, &json!(true)));
        assert_eq!(token["sealed_after"], json!(Sealed::new("another").digest()));
        assert_eq!((&token["content"], &lines[5]["effect"]), (&json!("unknown"), &json!("rotation")));
        assert_eq!(lines[4]["attributes"][0], json!({"path": "keep.daily", "before": 14, "after": 7}));
        assert_eq!((&lines[2]["at"], &lines[3]["at"]), (&place, &Json::Null));
        let uid = |address: &str| &lines.iter().find(|line| line["address"] == address).unwrap()["uid"];
        assert_eq!((uid("plan/hot"), uid("plan/nightly").is_string()), (&Json::Null, true));
        assert_eq!(lines[7]["kind"], json!("plan-leaves"));
        let summary = &lines[9];
        assert_eq!((&summary["plan_id"], &summary["based_on"]), (&json!(set.plan_id), &json!(41)));
        assert_eq!((&summary["retire"], &summary["needs_approval"]), (&json!(1), &json!(true)));
    }
}
