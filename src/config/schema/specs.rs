//! What the table of the language consists of: nodes, their arguments and properties, and what values must be.

/// Whether this version can do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Built,
    /// It cannot; the text says what it is for.
    Later(&'static str),
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A string whose rule is its own: a name, an address, a pattern.
    Text,
    /// A whole number between the two, both included.
    Integer(i128, i128),
    /// A string such as `30s`, `5m`, `12h`, `7d` or `2w`.
    Duration,
    /// A string such as `2027-03-01`.
    Date,
    /// A string such as `08:00`.
    TimeOfDay,
    /// A string such as `20%`, between the two, both included.
    Percent(u8, u8),
    /// A string such as `https://bitbucket.example.com`.
    Url,
    /// A string such as `plan/nightly`: the kind and the name of something that can be declared.
    Address,
    /// One of these strings.
    Word(&'static [Word]),
    /// An age ciphertext with the annotation `(age)`.
    Sealed,
}

/// One of the strings that a value can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The string.
    pub name: &'static str,
    /// Whether this version can do it.
    pub availability: Availability,
}

/// An argument or a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueSpec {
    /// The property's name; for an argument what it is, in words.
    pub name: &'static str,
    /// What it must be.
    pub kind: ValueKind,
    /// Whether it must be there.
    pub required: bool,
    /// For the last argument: whether more of the same may follow.
    pub repeated: bool,
    /// Whether this version can do it.
    pub availability: Availability,
}

/// A node in one context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeSpec {
    /// The path of the node it stands in, such as `plan/project`; empty for the top level.
    pub context: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its arguments, in order.
    pub arguments: &'static [ValueSpec],
    /// Its properties.
    pub properties: &'static [ValueSpec],
    /// How often it must stand in its context.
    pub min: usize,
    /// How often it may.
    pub max: usize,
    /// What it means, in one sentence.
    pub docs: &'static str,
    /// Whether this version can do it.
    pub availability: Availability,
}

impl NodeSpec {
    /// The context of its children.
    pub fn path(&self) -> String {
        if self.context.is_empty() { self.name.to_owned() } else { format!("{}/{}", self.context, self.name) }
    }
}

pub(super) const fn optional(name: &'static str, kind: ValueKind) -> ValueSpec {
    ValueSpec { name, kind, required: false, repeated: false, availability: Availability::Built }
}

pub(super) const fn required(name: &'static str, kind: ValueKind) -> ValueSpec {
    ValueSpec { required: true, ..optional(name, kind) }
}

pub(super) const fn repeated(name: &'static str, kind: ValueKind) -> ValueSpec {
    ValueSpec { repeated: true, ..required(name, kind) }
}

pub(super) const fn word(name: &'static str) -> Word {
    Word { name, availability: Availability::Built }
}

pub(super) const fn planned_word(name: &'static str, what: &'static str) -> Word {
    Word { name, availability: Availability::Later(what) }
}

pub(super) const fn node(
    context: &'static str,
    name: &'static str,
    (min, max): (usize, usize),
    arguments: &'static [ValueSpec],
    properties: &'static [ValueSpec],
    docs: &'static str,
) -> NodeSpec {
    NodeSpec { context, name, arguments, properties, min, max, docs, availability: Availability::Built }
}
