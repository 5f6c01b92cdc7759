//! Judges JSON by a schema of `schema/`: as much of JSON Schema as those use, and nothing silently ignored.

#![expect(clippy::unwrap_used, reason = "the schemas of this repository are well formed, or the test ends")]

use std::path::Path;

use serde_json::{Map, Value};

/// The words of JSON Schema that are only for readers.
const REMARKS: [&str; 4] = ["$schema", "title", "description", "$defs"];

/// Demands that every line fits the schema.
pub fn demand_valid(schema: &str, lines: &[Value]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(schema);
    let root: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for line in lines {
        if let Err(why) = check(&root, &root, line) {
            panic!("{line} does not fit {schema}: {why}");
        }
    }
}

fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let words = schema.as_object().expect("a schema is an object");
    for (word, rule) in words {
        match word.as_str() {
            "$ref" => check(root, referred(root, rule), value)?,
            "oneOf" => one_of(root, rule, value)?,
            "type" => {
                let fits = |name: &Value| is_of(value, name.as_str().expect("a type is a word"));
                if !rule.as_array().map_or_else(|| fits(rule), |names| names.iter().any(fits)) {
                    return Err(format!("{value} is not of type {rule}"));
                }
            }
            "const" if value != rule => return Err(format!("{value} is not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => return Err(format!("{value} is not one of {rule}")),
            "required" => {
                let missing = |name: &&Value| value.is_object() && value.get(name.as_str().unwrap()).is_none();
                if let Some(name) = rule.as_array().unwrap().iter().find(missing) {
                    return Err(format!("{name} is missing"));
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    let Some(inner) = value.get(name) else { continue };
                    check(root, schema, inner).map_err(|why| format!("{name}: {why}"))?;
                }
            }
            "additionalProperties" => no_others(words, value)?,
            "items" => {
                for inner in value.as_array().into_iter().flatten() {
                    check(root, rule, inner)?;
                }
            }
            "const" | "enum" => {}
            word => assert!(REMARKS.contains(&word), "the judge does not know {word}"),
        }
    }
    Ok(())
}

fn referred<'a>(root: &'a Value, name: &Value) -> &'a Value {
    let pointer = name.as_str().and_then(|name| name.strip_prefix('#')).expect("references stay in the file");
    root.pointer(pointer).unwrap_or_else(|| panic!("{name} is not there"))
}

fn one_of(root: &Value, schemas: &Value, value: &Value) -> Result<(), String> {
    let judged: Vec<_> = schemas.as_array().unwrap().iter().map(|schema| check(root, schema, value)).collect();
    match judged.iter().filter(|result| result.is_ok()).count() {
        1 => Ok(()),
        0 => Err(format!("it fits none: {judged:?}")),
        several => Err(format!("it fits {several}")),
    }
}

fn no_others(words: &Map<String, Value>, value: &Value) -> Result<(), String> {
    assert_eq!(words["additionalProperties"], false, "the judge knows only that");
    let known = words["properties"].as_object().unwrap();
    match value.as_object().into_iter().flatten().find(|(name, _)| !known.contains_key(*name)) {
        Some((name, _)) => Err(format!("{name} is not in the schema")),
        None => Ok(()),
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the judge does not know the type {other}"),
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let root = serde_json::json!({
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {"a": {"enum": ["x", "y"]}, "b": {"type": ["integer", "null"]}},
    });
    let fits = |value: Value| check(&root, &root, &value).is_ok();
    assert!(fits(serde_json::json!({"a": "x"})) && fits(serde_json::json!({"a": "y", "b": 7})));
    for wrong in ["{}", r#"{"a":"z"}"#, r#"{"a":"x","b":"7"}"#, r#"{"a":"x","c":1}"#, "[]"] {
        assert!(!fits(serde_json::from_str(wrong).unwrap()), "{wrong}");
    }
}
