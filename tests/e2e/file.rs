//! Pieces of `xopero.kdl`.

/// A project of the server `bb`, without credentials: `credential add` puts them in.
pub fn project(key: &str) -> String {
    format!("project \"{key}\" server=\"bb\" {{\n}}\n")
}

/// A plan over one project: `scope` is what stands in its block.
pub fn plan(name: &str, project: &str, scope: &str, destinations: &[&str]) -> String {
    let destinations: Vec<String> = destinations.iter().map(|name| format!("    destination \"{name}\"\n")).collect();
    let destinations = destinations.concat();
    format!(
        "plan \"{name}\" {{\n    project \"{project}\" {{\n        {scope}\n    }}\n    parts \"git\"\n\
         {destinations}    retention \"all\"\n}}\n"
    )
}
