//! A language's table, compiled for the walk: bits by the grammar's symbol number.

use tree_sitter::{Language as Grammar, Node};

use super::languages::{Definition, Import, Language, Mark, Rescue};

/// What a node's kind means; bits.
pub(super) type Traits = u32;

pub(super) const COMMENT: Traits = 1;
pub(super) const ATOM: Traits = 1 << 1;
/// A named leaf is a Halstead operand.
pub(super) const NAMED: Traits = 1 << 2;
/// Closing brackets are counted with their opening ones.
pub(super) const CLOSER: Traits = 1 << 3;
pub(super) const DECISION: Traits = 1 << 4;
pub(super) const STRUCTURE: Traits = 1 << 5;
pub(super) const FLAT: Traits = 1 << 6;
pub(super) const NESTS: Traits = 1 << 7;
pub(super) const LOGICAL: Traits = 1 << 8;
pub(super) const IF: Traits = 1 << 9;
pub(super) const ELSE: Traits = 1 << 10;
pub(super) const CALL: Traits = 1 << 11;
pub(super) const DEFINITION: Traits = 1 << 12;
pub(super) const IMPORT: Traits = 1 << 13;
pub(super) const PARAMETERS: Traits = 1 << 14;
pub(super) const NOT_PARAMETER: Traits = 1 << 15;
/// More traits when it stands in a certain parent, or has a certain text.
pub(super) const CONDITIONAL: Traits = 1 << 16;
pub(super) const ERROR: Traits = 1 << 17;
/// Takes one decision away.
pub(super) const LESS: Traits = 1 << 18;
/// An atom that is descended into when it holds code: interpolation.
pub(super) const CODE_INSIDE: Traits = 1 << 19;
/// Its blank lines are code.
pub(super) const TEXT: Traits = 1 << 21;
/// Its field `condition` is the preprocessor's.
pub(super) const OUTSIDE_CONDITION: Traits = 1 << 22;
/// A keyword before a function's name among the tokens of a macro.
pub(super) const RESCUE: Traits = 1 << 23;
/// A kind that is code inside an atom.
const CODE: Traits = 1 << 20;

/// tree-sitter's number for ERROR nodes; outside of every grammar's own range.
const ERROR_KIND: u16 = u16::MAX;

/// The compiled table.
pub(super) struct Kinds {
    traits: Vec<Traits>,
    conditions: Vec<Condition>,
    /// By symbol number, for kinds with `DEFINITION`, `IMPORT` or `CALL`.
    definitions: Vec<Vec<(&'static Definition, Part)>>,
    imports: Vec<Option<&'static Import>>,
    calls: Vec<Option<Callee>>,
}

/// Where a call names what it calls.
#[derive(Clone, Copy)]
enum Callee {
    Field(u16),
    FirstChild,
}

/// Traits that a kind has only somewhere.
struct Condition {
    kind: u16,
    place: Place,
    traits: Traits,
}

enum Place {
    Below(u16),
    WithText(&'static str),
    Holding(Part),
}

/// What a node must have to count.
#[derive(Clone)]
enum Part {
    Nothing,
    /// A field of a name, or a direct child of a kind of that name.
    FieldOrChild(Option<u16>, Vec<u16>),
    /// A field, of a kind.
    FieldOfKind(Option<u16>, Vec<u16>),
}

impl Part {
    /// From a table's text: a name, `field:kind`, or empty.
    fn compile(grammar: &Grammar, text: &str) -> Part {
        let field = |name| grammar.field_id_for_name(name).map(|id| id.get());
        let kinds = |name| ids(grammar).filter(|&id| grammar.node_kind_for_id(id) == Some(name)).collect();
        match text.split_once(':') {
            _ if text.is_empty() => Part::Nothing,
            Some((name, kind)) => Part::FieldOfKind(field(name), kinds(kind)),
            None => Part::FieldOrChild(field(text), kinds(text)),
        }
    }

    fn is_in(&self, node: Node<'_>) -> bool {
        let in_field = |field: &Option<u16>| field.and_then(|field| node.child_by_field_id(field));
        match self {
            Part::Nothing => true,
            Part::FieldOfKind(field, kinds) => in_field(field).is_some_and(|child| kinds.contains(&child.kind_id())),
            Part::FieldOrChild(field, kinds) => {
                in_field(field).is_some() || {
                    let mut cursor = node.walk();
                    !kinds.is_empty() && node.children(&mut cursor).any(|child| kinds.contains(&child.kind_id()))
                }
            }
        }
    }
}

impl Kinds {
    pub(super) fn compile(language: &'static Language) -> Kinds {
        let grammar = (language.grammar)();
        let count = grammar.node_kind_count();
        let mut kinds = Kinds {
            traits: vec![0; count],
            conditions: Vec::new(),
            definitions: vec![Vec::new(); count],
            imports: vec![None; count],
            calls: vec![None; count],
        };
        for id in ids(&grammar) {
            kinds.traits[usize::from(id)] = natural_traits(&grammar, id);
        }
        let cognitive = &language.cognitive;
        kinds.mark_named(&grammar, language.comments, COMMENT);
        kinds.mark_named(&grammar, language.atoms, ATOM);
        kinds.mark_named(&grammar, language.outside_conditions, OUTSIDE_CONDITION);
        if let Rescue::Tokens { node, keyword } = language.rescue {
            kinds.mark(&grammar, &Mark::In(node, keyword), RESCUE);
        }
        kinds.mark_named(&grammar, language.texts, TEXT);
        kinds.mark_named(&grammar, language.code_in_atoms, CODE);
        if !language.code_in_atoms.is_empty() {
            kinds.mark_named(&grammar, language.atoms, CODE_INSIDE);
        }
        kinds.mark_named(&grammar, language.parameter_lists, PARAMETERS);
        kinds.mark_named(&grammar, language.not_parameters, NOT_PARAMETER);
        kinds.mark_named(&grammar, cognitive.nests, NESTS);
        kinds.mark_named(&grammar, cognitive.ifs, IF);
        kinds.mark_all(&grammar, language.decisions, DECISION);
        kinds.mark_all(&grammar, cognitive.structures, STRUCTURE);
        kinds.mark_all(&grammar, cognitive.flat, FLAT);
        cognitive.logical.iter().for_each(|token| kinds.mark(&grammar, &Mark::Token(token), LOGICAL));
        kinds.mark(&grammar, &Mark::Token("else"), ELSE);
        for definition in language.definitions {
            let needs = Part::compile(&grammar, definition.needs);
            kinds.each(&grammar, definition.node, true, |kinds, id| kinds.definitions[id].push((definition, needs.clone())));
            kinds.mark(&grammar, &Mark::Node(definition.node), DEFINITION);
        }
        for import in language.imports {
            kinds.each(&grammar, import.node, true, |kinds, id| kinds.imports[id] = Some(import));
            kinds.mark(&grammar, &Mark::Node(import.node), IMPORT);
        }
        for (node, field) in cognitive.calls {
            let callee = if field.is_empty() { Some(Callee::FirstChild) } else { grammar.field_id_for_name(field).map(|id| Callee::Field(id.get())) };
            kinds.each(&grammar, node, true, |kinds, id| kinds.calls[id] = callee);
            kinds.mark(&grammar, &Mark::Node(node), CALL);
        }
        kinds
    }

    /// What a node is anywhere.
    #[inline]
    pub(super) fn of(&self, kind: u16) -> Traits {
        match self.traits.get(usize::from(kind)) {
            Some(traits) => *traits,
            None => ERROR | NAMED,
        }
    }

    /// What it is here as well, for kinds with [`CONDITIONAL`].
    pub(super) fn here(&self, kind: u16, parent: Option<u16>, node: Node<'_>, text: &[u8]) -> Traits {
        let holds = |condition: &&Condition| {
            condition.kind == kind
                && match &condition.place {
                    Place::Below(below) => Some(*below) == parent,
                    Place::WithText(expected) => expected.as_bytes() == &text[node.byte_range()],
                    Place::Holding(part) => part.is_in(node),
                }
        };
        self.conditions.iter().filter(holds).fold(0, |traits, condition| traits | condition.traits)
    }

    /// The first of a node's definitions that applies and has what it needs.
    pub(super) fn definition(&self, kind: u16, node: Node<'_>, applies: impl Fn(&Definition) -> bool) -> Option<&'static Definition> {
        let found = self.definitions[usize::from(kind)].iter().find(|(definition, needs)| applies(definition) && needs.is_in(node));
        found.map(|(definition, _)| *definition)
    }

    pub(super) fn import(&self, kind: u16) -> Option<&'static Import> {
        self.imports[usize::from(kind)]
    }

    /// What a call calls.
    pub(super) fn called<'t>(&self, kind: u16, call: Node<'t>) -> Option<Node<'t>> {
        match self.calls[usize::from(kind)]? {
            Callee::Field(field) => call.child_by_field_id(field),
            Callee::FirstChild => call.named_child(0),
        }
    }

    /// Does an atom hold code after all?
    pub(super) fn holds_code(&self, atom: Node<'_>) -> bool {
        let mut cursor = atom.walk();
        atom.children(&mut cursor).any(|child| self.of(child.kind_id()) & CODE != 0)
    }

    pub(super) fn is_parameter_list(&self, node: Node<'_>) -> bool {
        self.of(node.kind_id()) & PARAMETERS != 0
    }

    pub(super) fn is_parameter(&self, node: Node<'_>) -> bool {
        self.of(node.kind_id()) & (COMMENT | NOT_PARAMETER) == 0
    }

    fn mark_named(&mut self, grammar: &Grammar, names: &'static [&'static str], traits: Traits) {
        names.iter().for_each(|name| self.mark(grammar, &Mark::Node(name), traits));
    }

    fn mark_all(&mut self, grammar: &Grammar, marks: &'static [Mark], traits: Traits) {
        marks.iter().for_each(|mark| self.mark(grammar, mark, traits));
    }

    fn mark(&mut self, grammar: &Grammar, mark: &Mark, traits: Traits) {
        match *mark {
            Mark::Token(name) => self.each(grammar, name, false, |kinds, id| kinds.traits[id] |= traits),
            Mark::Node(name) => self.each(grammar, name, true, |kinds, id| kinds.traits[id] |= traits),
            Mark::Less(name) => self.each(grammar, name, true, |kinds, id| kinds.traits[id] |= LESS),
            Mark::With(name, part) => {
                let part = Part::compile(grammar, part);
                self.each(grammar, name, true, |kinds, id| kinds.add_condition(id, Place::Holding(part.clone()), traits));
            }
            Mark::Text(name, text) => self.each(grammar, name, true, |kinds, id| kinds.add_condition(id, Place::WithText(text), traits)),
            Mark::In(parent, child) => {
                for below in ids(grammar).filter(|&id| grammar.node_kind_for_id(id) == Some(parent) && grammar.node_kind_is_named(id)) {
                    for named in [false, true] {
                        self.each(grammar, child, named, |kinds, id| kinds.add_condition(id, Place::Below(below), traits));
                    }
                }
            }
        }
    }

    fn add_condition(&mut self, id: usize, place: Place, traits: Traits) {
        self.traits[id] |= CONDITIONAL;
        self.conditions.push(Condition { kind: id as u16, place, traits });
    }

    /// A kind's name may belong to several numbers: aliases.
    fn each(&mut self, grammar: &Grammar, name: &str, named: bool, mut change: impl FnMut(&mut Kinds, usize)) {
        for id in ids(grammar).filter(|&id| grammar.node_kind_for_id(id) == Some(name) && grammar.node_kind_is_named(id) == named) {
            change(self, usize::from(id));
        }
    }
}

fn ids(grammar: &Grammar) -> impl Iterator<Item = u16> + use<> {
    0..u16::try_from(grammar.node_kind_count()).unwrap_or(ERROR_KIND)
}

fn natural_traits(grammar: &Grammar, id: u16) -> Traits {
    match grammar.node_kind_for_id(id) {
        _ if grammar.node_kind_is_named(id) => NAMED,
        Some(")" | "]" | "}") => CLOSER,
        _ => 0,
    }
}
