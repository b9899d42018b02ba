//! Symbols and imports: names, places, containers, visibility.

use std::{borrow::Cow, rc::Rc};

use bitacora_core::wire::record::{Symbol, SymbolKind};
use tree_sitter::Node;

use super::{
    functions::{NAME_BYTES_MAX, last_row},
    languages::{Definition, Import, Name, Role, Target, Visibility},
    lines::LineIndex,
};

/// Containers deeper than this, or with longer names, are not spelled out: a hostile file would square its size.
const CONTAINER_BYTES_MAX: usize = 1024;
const SIGNATURE_BYTES_MAX: usize = 160;
/// What a symbol takes beside its name and container, its signature included.
pub(super) const SYMBOL_BYTES: usize = size_of::<Found>() + SIGNATURE_BYTES_MAX;
/// Steps down a chain of declarators.
const DECLARATORS_MAX: usize = 32;
/// Children of a definition looked at for a modifier; modifiers stand first.
const MODIFIERS_MAX: usize = 8;
const IMPORT_BYTES_MAX: usize = 1024;
const ANONYMOUS: &str = "(anonymous)";

/// A symbol whose column and signature are still to be read off its line.
pub(super) struct Found {
    symbol: Symbol,
    row: usize,
    start: usize,
}

impl Found {
    /// A function that is no node of its own.
    pub(super) fn function(name: &str, place: std::ops::Range<usize>, lines: &LineIndex, end: usize) -> Found {
        let row = lines.row_of(place.start);
        let symbol = Symbol {
            name: name.to_owned(),
            kind: SymbolKind::Function,
            line: row as u32 + 1,
            column: 0,
            end_line: lines.row_of(end) as u32 + 1,
            container: String::new(),
            visibility: String::new(),
            signature: String::new(),
        };
        Found { symbol, row, start: place.start }
    }
}

/// The containers around the node the walk is at. What is not spelled out shares the path of what it stands in: as each path is
/// longer than the one before, there are never more of them than [`CONTAINER_BYTES_MAX`].
#[derive(Default)]
pub(super) struct Scopes {
    open: Vec<(Rc<str>, SymbolKind)>,
}

impl Scopes {
    pub(super) fn enter(&mut self, name: &str, kind: SymbolKind, separator: &str) {
        let path = match self.open.last() {
            Some((outer, _)) if name.is_empty() || outer.len() + name.len() > CONTAINER_BYTES_MAX => Rc::clone(outer),
            Some((outer, _)) if !outer.is_empty() => format!("{outer}{separator}{name}").into(),
            _ => name.into(),
        };
        self.open.push((path, kind));
    }

    pub(super) fn leave(&mut self) {
        self.open.pop();
    }

    fn path(&self) -> String {
        self.open.last().map(|(path, _)| path.as_ref().to_owned()).unwrap_or_default()
    }

    pub(super) fn add_rescued(&self, all: &mut Vec<Found>, mut found: Found) {
        found.symbol.container = self.path();
        all.push(found);
    }

    /// A function right inside a class is a method. A function bound to a variable is that variable's symbol. Answers with
    /// the bytes that it takes.
    pub(super) fn add(&self, all: &mut Vec<Found>, definition: &Definition, mut found: Found) -> usize {
        let inside = self.open.last();
        found.symbol.kind = match (definition.kind, inside) {
            (SymbolKind::Function, Some((_, kind))) if kind.has_methods() => SymbolKind::Method,
            (kind, _) => kind,
        };
        found.symbol.container = self.path();
        let bytes = SYMBOL_BYTES + found.symbol.name.len() + found.symbol.container.len();
        match all.last_mut() {
            Some(last) if last.start == found.start && definition.role == Role::Function => *last = found,
            _ => all.push(found),
        }
        bytes
    }
}

/// A definition's name: a node, or a text for what has none.
pub(super) enum Named<'t> {
    At(Node<'t>, &'static str),
    Fixed(&'static str),
}

impl Named<'_> {
    pub(super) fn text<'a>(&self, text: &'a [u8]) -> Cow<'a, str> {
        match self {
            Named::At(node, "") => cut(&text[node.byte_range()], NAME_BYTES_MAX),
            Named::At(node, prefix) => format!("{prefix}{}", cut(&text[node.byte_range()], NAME_BYTES_MAX)).into(),
            Named::Fixed(name) => (*name).into(),
        }
    }

    pub(super) fn is_anonymous(&self) -> bool {
        matches!(self, Named::Fixed(name) if *name == ANONYMOUS)
    }

    pub(super) fn row(&self, definition: Node<'_>) -> usize {
        match self {
            Named::At(node, _) => node.start_position().row,
            Named::Fixed(_) => definition.start_position().row,
        }
    }

    pub(super) fn found(&self, definition: Node<'_>, name: &str, visibility: String) -> Found {
        let start = match self {
            Named::At(node, _) => node.start_byte(),
            Named::Fixed(_) => definition.start_byte(),
        };
        let symbol = Symbol {
            name: name.to_owned(),
            kind: SymbolKind::Function,
            line: self.row(definition) as u32 + 1,
            column: 0,
            end_line: last_row(definition) as u32 + 1,
            container: String::new(),
            visibility,
            signature: String::new(),
        };
        Found { symbol, row: self.row(definition), start }
    }
}

pub(super) fn names<'t>(definition: &Definition, node: Node<'t>, parent: Option<Node<'t>>) -> Vec<Named<'t>> {
    let plain = |node: Node<'t>| Named::At(node, "");
    // A pattern is no name: what a destructuring binds are its parts.
    let field = |field: &str| node.child_by_field_name(field).filter(|name| !name.kind().ends_with("_pattern")).map(plain);
    let one = |name: Option<Named<'t>>| name.into_iter().collect();
    match definition.name {
        Name::Field(name) => one(field(name)),
        Name::Prefixed(prefix, name) => one(node.child_by_field_name(name).map(|name| Named::At(name, prefix))),
        Name::FieldOr(name, text) => one(field(name).or(Some(Named::Fixed(text)))),
        Name::FieldOrBinding(name) => one(field(name).or_else(|| Some(binding(parent)))),
        Name::Binding => one(Some(binding(parent))),
        Name::Bound => one(Some(binding(parent)).filter(|name| !name.is_anonymous())),
        Name::Fixed(text) => one(Some(Named::Fixed(text))),
        Name::Child(kinds) => {
            let mut cursor = node.walk();
            let child = node.children(&mut cursor).find(|child| kinds.contains(&child.kind()));
            one(child.map(plain))
        }
        Name::EachField(name) => {
            let mut cursor = node.walk();
            node.children_by_field_name(name, &mut cursor).filter(|child| child.is_named()).map(plain).collect()
        }
        Name::Declarator if definition.role == Role::OuterFunction => one(declared(node, true).first().copied().or_else(|| macro_name(node)).map(plain)),
        Name::Declarator => declared(node, true).into_iter().map(plain).collect(),
        Name::VariableDeclarator => declared(node, false).into_iter().map(plain).collect(),
    }
}

/// What a function without a name of its own is bound to.
fn binding(parent: Option<Node<'_>>) -> Named<'_> {
    let fields = ["name", "key", "left", "property"];
    let name = parent.and_then(|parent| fields.iter().find_map(|field| parent.child_by_field_name(field)));
    let name = name.map(|name| name.child_by_field_name("property").unwrap_or(name));
    name.filter(|name| name.child_count() == 0).map_or(Named::Fixed(ANONYMOUS), |name| Named::At(name, ""))
}

/// `DEFINE_IDTENTRY(x) { … }` is read as a type and a declarator `(x)`: what looks like the type is the name.
fn macro_name(function: Node<'_>) -> Option<Node<'_>> {
    function.child_by_field_name("type").filter(|name| name.kind() == "type_identifier")
}

/// The identifiers that a C declaration declares; those of functions only with `functions`.
fn declared(node: Node<'_>, functions: bool) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.children_by_field_name("declarator", &mut cursor).filter_map(|declarator| innermost(declarator, functions)).collect()
}

fn innermost(declarator: Node<'_>, functions: bool) -> Option<Node<'_>> {
    let mut node = declarator;
    for _ in 0..DECLARATORS_MAX {
        if !functions && node.kind() == "function_declarator" {
            return None;
        }
        let inner = node.child_by_field_name("declarator").or_else(|| wrapped(node));
        match inner {
            Some(inner) => node = inner,
            None if node.kind() == "qualified_identifier" => node = node.child_by_field_name("name")?,
            None if node.kind().ends_with("identifier") || node.kind().ends_with("_name") => return Some(node),
            None => return None,
        }
    }
    None
}

/// Declarators that hold the next one without a field.
fn wrapped(node: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = node.walk();
    matches!(node.kind(), "parenthesized_declarator" | "attributed_declarator" | "reference_declarator" | "template_function" | "pointer_type_declarator")
        .then(|| node.named_children(&mut cursor).find(|child| child.kind().ends_with("declarator") || child.kind().ends_with("identifier")))
        .flatten()
}

pub(super) fn visibility(rule: &Visibility, node: Node<'_>, name: &str, text: &[u8]) -> String {
    let modifier = |kinds: &[&str]| (0..MODIFIERS_MAX).map_while(|i| node.child(i as u32)).find(|child| kinds.contains(&child.kind()));
    let said: Cow<'_, str> = match *rule {
        Visibility::None => "".into(),
        Visibility::Modifier { kinds, default } => modifier(kinds).map_or(default.into(), |modifier| cut(&text[modifier.byte_range()], NAME_BYTES_MAX)),
        Visibility::Keyword { kinds, words, default } => {
            let children = (0..MODIFIERS_MAX).map_while(|i| node.child(i as u32)).filter(|child| kinds.contains(&child.kind()));
            let spoken = |child: Node<'_>| cut(&text[child.byte_range()], NAME_BYTES_MAX).into_owned();
            let word = children.map(spoken).find_map(|spoken| words.iter().find(|word| spoken.split_whitespace().any(|part| part == **word)).copied());
            word.unwrap_or(default).into()
        }
        // `__init__` is called by everybody.
        Visibility::Underscore => if name.starts_with('_') && !name.ends_with("__") { "private" } else { "public" }.into(),
        Visibility::Capital => if name.starts_with(char::is_uppercase) { "public" } else { "package" }.into(),
    };
    said.into_owned()
}

pub(super) fn import_targets(import: &Import, node: Node<'_>, text: &[u8], out: &mut Vec<String>) {
    let mut cursor = node.walk();
    let read = |node: Node<'_>| unquoted(&text[node.byte_range()]);
    match import.target {
        Target::Field(field) => out.extend(node.child_by_field_name(field).map(read)),
        Target::Verbatim(field) => out.extend(node.child_by_field_name(field).map(|node| cut(&text[node.byte_range()], IMPORT_BYTES_MAX).into_owned())),
        Target::Children(kinds) => {
            let named = node.children(&mut cursor).filter(|child| kinds.contains(&child.kind()));
            // `import a as b` imports `a`. A name in parts has a field of this name, too: its last part.
            let renamed = |child: &Node<'_>| child.kind() == "aliased_import";
            out.extend(named.map(|child| read(child.child_by_field_name("name").filter(|_| renamed(&child)).unwrap_or(child))));
        }
        Target::First(kinds) => out.extend(node.children(&mut cursor).find(|child| kinds.contains(&child.kind())).map(read)),
        Target::Fixed(name) => out.push(name.to_owned()),
        Target::Rest => out.extend(node.child(0).map(|first| unquoted(text[first.end_byte()..node.end_byte()].trim_ascii()))),
        Target::Call { function_field, functions, arguments_field } => {
            let function = node.child_by_field_name(function_field);
            let named = function.is_some_and(|function| functions.iter().any(|name| name.as_bytes() == &text[function.byte_range()]));
            let arguments = node.child_by_field_name(arguments_field).filter(|_| named);
            // `autoload :Name, "file"`.
            let place = usize::from(function.is_some_and(|function| &text[function.byte_range()] == b"autoload"));
            let argument = arguments.and_then(|arguments| match is_text(arguments) {
                true => Some(arguments),
                false => arguments.named_children(&mut cursor).filter(|child| !child.is_extra()).nth(place),
            });
            out.extend(argument.filter(|argument| is_text(*argument)).map(read));
        }
    }
}

/// A literal, or a shell's bare word.
fn is_text(node: Node<'_>) -> bool {
    node.kind().contains("string") || node.kind() == "word"
}

fn unquoted(target: &[u8]) -> String {
    let inner = match target {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] | [b'`', inner @ .., b'`'] => inner,
        bare => bare,
    };
    cut(inner, IMPORT_BYTES_MAX).into_owned()
}

/// Columns and signatures, line by line: each line is read once, however many symbols stand on it.
pub(super) fn finish(mut found: Vec<Found>, lines: &LineIndex, text: &[u8]) -> Vec<Symbol> {
    found.sort_by_key(|found| (found.start, found.symbol.kind));
    let (mut row, mut at, mut column) = (usize::MAX, 0, 1);
    let mut signature = String::new();
    for Found { symbol, row: symbol_row, start } in &mut found {
        if row != *symbol_row {
            (row, at, column) = (*symbol_row, lines.start_of(*symbol_row) as usize, 1);
            signature = cut(lines.text_of(text, row).trim_ascii(), SIGNATURE_BYTES_MAX).into_owned();
        }
        column += scalars(&text[at..(*start).max(at)]);
        at = (*start).max(at);
        symbol.column = column;
        symbol.signature.clone_from(&signature);
    }
    found.into_iter().map(|found| found.symbol).collect()
}

/// Unicode scalars: bytes that do not continue one.
fn scalars(text: &[u8]) -> u32 {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u32
}

fn cut(text: &[u8], bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return lossy(text);
    }
    let end = (0..=bytes_max).rev().find(|&end| text[end] & 0xc0 != 0x80).unwrap_or(bytes_max);
    lossy(&text[..end])
}

/// As [`String::from_utf8_lossy`], which looks at each byte by itself, but by whole words where all is well.
fn lossy(text: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_scopes_share_their_path() {
        for name in ["(anonymous)", "x", ""] {
            let mut scopes = Scopes::default();
            (0..100_000).for_each(|_| scopes.enter(name, SymbolKind::Function, "."));
            let mut paths: Vec<*const str> = scopes.open.iter().map(|(path, _)| Rc::as_ptr(path)).collect();
            paths.dedup_by_key(|path| path.cast::<u8>());
            assert!(paths.len() <= CONTAINER_BYTES_MAX, "{} paths of {name:?}", paths.len());
            assert!(scopes.path().len() <= CONTAINER_BYTES_MAX + 1 + name.len());
        }
    }
}
