//! Switching additional credentials of a project on and off for a plan.

use std::collections::BTreeMap;

use super::EditError;
use super::layout::{Layout, head_end, quote, removal};
use super::splice::{Edit, Splice, is, not_declared, only, parsed};
use crate::config::document::{Node, Value};
use crate::config::error::Span;
use crate::config::sources::Sources;
use crate::model::{Address, CredentialName, PlanName, ProjectSelector};

const SWITCH: &str = "enable-credentials";

/// The files with the credential enabled for the project in the plan; unchanged if it is already.
pub fn enable_credential(
    sources: &Sources,
    plan: &PlanName,
    project: &ProjectSelector,
    name: &CredentialName,
) -> Result<Sources, EditError> {
    let nodes = parsed(sources)?;
    let planned = planned(nodes, plan, project)?;
    let switch = only(planned.children(), |child| child.name == SWITCH, || Address::plan(plan))?;
    if switch.is_some_and(|switch| enabled_at(switch, name).next().is_some()) {
        return Ok(sources.clone());
    }
    let splice = if let Some(switch) = switch {
        let end = head_end(switch);
        Splice { span: Span { start: end, end, ..switch.span }, text: format!(" {}", quote(name.as_str())) }
    } else {
        let text = &sources.file(planned.span.file).text;
        Layout::of(text, nodes, planned).append(planned, &format!("{SWITCH} {}", quote(name.as_str())))
    };
    change(sources, plan, project, name, vec![splice], true)
}

/// The files with the credential not enabled for the project in the plan; unchanged if it is not enabled.
pub fn disable_credential(
    sources: &Sources,
    plan: &PlanName,
    project: &ProjectSelector,
    name: &CredentialName,
) -> Result<Sources, EditError> {
    let nodes = parsed(sources)?;
    let _exists = planned(nodes, plan, project)?;
    let splices = disabling(sources, Some(plan), project, name);
    if splices.is_empty() {
        return Ok(sources.clone());
    }
    change(sources, plan, project, name, splices, false)
}

/// The plans that enable the credential for the project, by name, also if other parts of the files are not finished.
pub fn enabling_plans(sources: &Sources, project: &ProjectSelector, name: &CredentialName) -> Vec<String> {
    let plans = sources.nodes().iter().filter(|node| node.name == "plan");
    let enabling =
        plans.filter(|plan| switches(plan, project).any(|(_, switch)| enabled_at(switch, name).next().is_some()));
    enabling.filter_map(Node::text).map(|(plan, _)| plan.to_owned()).collect()
}

fn change(
    sources: &Sources,
    plan: &PlanName,
    project: &ProjectSelector,
    name: &CredentialName,
    splices: Vec<Splice>,
    enabled: bool,
) -> Result<Sources, EditError> {
    let edit = Edit {
        address: Address::plan(plan).to_string(),
        splices,
        values: BTreeMap::new(),
        without: &|nodes| take_out(nodes, Some(plan), project, name),
        meant: &|nodes| {
            let planned = planned(nodes, plan, project);
            planned.is_ok_and(|planned| {
                let mut switches = planned.children_named(SWITCH);
                switches.any(|switch| enabled_at(switch, name).next().is_some()) == enabled
            })
        },
    };
    edit.make(sources)
}

/// What to take out so that the credential is not enabled for the project: in one plan, or in all of them.
pub(super) fn disabling(
    sources: &Sources,
    plan: Option<&PlanName>,
    project: &ProjectSelector,
    name: &CredentialName,
) -> Vec<Splice> {
    let is_meant = |node: &Node| match plan {
        Some(plan) => is(node, "plan", plan.as_str()),
        None => node.name == "plan",
    };
    let mut splices = Vec::new();
    for (planned, switch) in
        sources.nodes().iter().filter(|node| is_meant(node)).flat_map(|plan| switches(plan, project))
    {
        let text = &sources.file(switch.span.file).text;
        let mut others = switch.args.iter().filter(|value| !is_name(value, name)).peekable();
        let spans: Vec<Span> = enabled_at(switch, name).collect();
        if spans.is_empty() {
            continue;
        }
        if others.peek().is_none() {
            splices.push(Splice { span: removal(text, planned, switch), text: String::new() });
            continue;
        }
        splices.extend(spans.into_iter().map(|span| {
            let start = text[..span.start].trim_end_matches([' ', '\t']).len();
            Splice { span: Span { start, ..span }, text: String::new() }
        }));
    }
    splices
}

/// Takes the name out of the switches. A switch that holds nothing else is as good as none.
pub(super) fn take_out(nodes: &mut [Node], plan: Option<&PlanName>, project: &ProjectSelector, name: &CredentialName) {
    for found in
        nodes.iter_mut().filter(|node| node.name == "plan" && plan.is_none_or(|plan| is(node, "plan", plan.as_str())))
    {
        for planned in found.children.iter_mut().flatten().filter(|node| is(node, "project", project.as_str())) {
            let Some(children) = &mut planned.children else { continue };
            for switch in children.iter_mut().filter(|child| child.name == SWITCH) {
                switch.args.retain(|value| !is_name(value, name));
            }
            children.retain(|child| child.name != SWITCH || !child.args.is_empty());
        }
    }
}

/// The project in the plan.
fn planned<'a>(nodes: &'a [Node], plan: &PlanName, project: &ProjectSelector) -> Result<&'a Node, EditError> {
    let address = || Address::plan(plan);
    let found = only(nodes, |node| is(node, "plan", plan.as_str()), address)?;
    let found = found.ok_or_else(|| not_declared(nodes, address()))?;
    only(found.children(), |child| is(child, "project", project.as_str()), address)?
        .ok_or_else(|| EditError::NotPlanned { plan: plan.clone(), project: project.clone() })
}

/// The switches of the project in a plan, each with the node it stands in.
fn switches<'a>(plan: &'a Node, project: &'a ProjectSelector) -> impl Iterator<Item = (&'a Node, &'a Node)> {
    let planned = plan.children().iter().filter(|child| is(child, "project", project.as_str()));
    planned.flat_map(|planned| planned.children_named(SWITCH).map(move |switch| (planned, switch)))
}

fn enabled_at<'a>(switch: &'a Node, name: &'a CredentialName) -> impl Iterator<Item = Span> + 'a {
    switch.args.iter().filter(|value| is_name(value, name)).map(|value| value.span)
}

fn is_name(value: &Value, name: &CredentialName) -> bool {
    value.text().is_some_and(|(text, _)| text == name.as_str())
}
