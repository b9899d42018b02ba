//! Functions that are open during the walk, innermost last, and their metrics.

use bitacora_core::wire::record::{Function, Halstead};
use tree_sitter::Node;

use super::{halstead::OPEN_BYTES, kinds::Kinds, lines::LineIndex};

/// Names longer than this are cut: no function is called by a name that fills screens.
pub(super) const NAME_BYTES_MAX: usize = 512;

/// What a function takes beside its name, open or closed.
pub(super) const FUNCTION_BYTES: usize = size_of::<Frame>() + size_of::<(Function, usize, usize)>() + OPEN_BYTES;

/// What is counted for the innermost open function, or for what stands outside of functions.
#[derive(Default)]
pub(super) struct Frame {
    name: String,
    name_row: usize,
    first_row: usize,
    last_row: usize,
    parameters: u32,
    recursive: bool,
    /// Decisions, each a node of its own: a file has fewer bytes than this counts. The function's complexity is one more. Below zero for a moment where a `match` takes one away before its
    /// arms are counted.
    pub(super) cyclomatic: i32,
    cognitive: u32,
    pub(super) nesting: u32,
    nesting_max: u32,
    /// Its place among the functions, so that they come out in the order of the text.
    place: usize,
}

impl Frame {
    /// A function that was found in the text may end inside of a structure of the tree.
    pub(super) fn unnest(&mut self) {
        self.nesting = self.nesting.saturating_sub(1);
    }

    /// Nested as deep as a hostile file can, structures come to more than the number holds.
    pub(super) fn add_cognitive(&mut self, more: u32) {
        self.cognitive = self.cognitive.saturating_add(more);
    }

    pub(super) fn nest(&mut self) {
        self.nesting += 1;
        self.nesting_max = self.nesting_max.max(self.nesting);
    }
}

/// What is known of a function when it is entered. Rows are 0-based, both included.
pub(super) struct Opening {
    pub(super) name: String,
    pub(super) name_row: usize,
    pub(super) first_row: usize,
    pub(super) last_row: usize,
    pub(super) parameters: u32,
}

impl Opening {
    pub(super) fn of(name: String, name_row: usize, node: Node<'_>, kinds: &Kinds, text: &[u8]) -> Opening {
        Opening { name, name_row, first_row: node.start_position().row, last_row: last_row(node), parameters: parameters(node, kinds, text) }
    }
}

/// The stack; the first frame is the file's own.
pub(super) struct Frames {
    open: Vec<Frame>,
    functions: Vec<(Function, usize, usize)>,
    /// Sums over the closed functions.
    sums: Sums,
}

/// The whole file's figures.
#[derive(Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) cyclomatic: u32,
    pub(super) cognitive: u32,
    pub(super) nesting_max: u32,
}

impl Default for Frames {
    fn default() -> Frames {
        Frames { open: vec![Frame::default()], functions: Vec::new(), sums: Sums::default() }
    }
}

impl Frames {
    #[inline]
    pub(super) fn current(&mut self) -> &mut Frame {
        self.open.last_mut().expect("the file's frame stays")
    }

    pub(super) fn inside_function(&self) -> bool {
        self.open.len() > 1
    }

    pub(super) fn open(&mut self, opening: Opening) {
        self.functions.push((Function::default(), 0, 0));
        let Opening { name, name_row, first_row, last_row, parameters } = opening;
        self.open.push(Frame { name, name_row, first_row, last_row, parameters, place: self.functions.len() - 1, ..Frame::default() });
    }

    /// Direct recursion counts once.
    pub(super) fn on_call(&mut self, called: &[u8]) {
        let inside = self.inside_function();
        let frame = self.current();
        if inside && !frame.recursive && frame.name.as_bytes() == called {
            frame.recursive = true;
            frame.add_cognitive(1);
        }
    }

    pub(super) fn close(&mut self, halstead: Halstead) {
        let frame = self.open.pop().expect("every close follows an open");
        let function = Function {
            name: frame.name,
            line: frame.name_row as u32 + 1,
            end_line: frame.last_row as u32 + 1,
            cyclomatic: (frame.cyclomatic.max(0) + 1).cast_unsigned(),
            cognitive: frame.cognitive,
            nesting: frame.nesting_max,
            parameters: frame.parameters,
            halstead,
            ..Function::default()
        };
        self.sums.cyclomatic += function.cyclomatic;
        self.sums.cognitive = self.sums.cognitive.saturating_add(function.cognitive);
        self.sums.nesting_max = self.sums.nesting_max.max(function.nesting);
        self.functions[frame.place] = (function, frame.first_row, frame.last_row);
    }

    /// Adds what needs the lines, and what stood outside of functions.
    pub(super) fn finish(mut self, lines: &LineIndex) -> (Sums, Vec<Function>) {
        let outside = self.open.pop().expect("the file's frame stays");
        self.sums.cyclomatic += outside.cyclomatic.max(0).cast_unsigned();
        self.sums.cognitive = self.sums.cognitive.saturating_add(outside.cognitive);
        self.sums.nesting_max = self.sums.nesting_max.max(outside.nesting_max);
        let functions = self.functions.into_iter().map(|(function, first, last)| Function { lines: lines.within(first, last), ..function });
        (self.sums, functions.collect())
    }
}

/// The row of a node's last byte: a node that ends with a line break ends on the row before.
pub(super) fn last_row(node: Node<'_>) -> usize {
    let end = node.end_position();
    if end.column == 0 && end.row > node.start_position().row { end.row - 1 } else { end.row }
}

/// How deep a declarator may hide its parameters.
const DECLARATORS_MAX: usize = 16;

/// Counts what a caller passes; `(void)` is nothing, `a, b int` is two.
fn parameters(function: Node<'_>, kinds: &Kinds, text: &[u8]) -> u32 {
    let mut node = function;
    for _ in 0..DECLARATORS_MAX {
        if let Some(list) = node.child_by_field_name("parameters").filter(|list| kinds.is_parameter_list(*list)) {
            return count_list(list, kinds, text);
        }
        match node.child_by_field_name("declarator") {
            Some(inner) => node = inner,
            None => break,
        }
    }
    if function.child_by_field_name("parameter").is_some() {
        return 1;
    }
    let mut cursor = function.walk();
    let list = function.children(&mut cursor).find(|child| kinds.is_parameter_list(*child));
    list.map_or(0, |list| count_list(list, kinds, text))
}

fn count_list(list: Node<'_>, kinds: &Kinds, text: &[u8]) -> u32 {
    let mut cursor = list.walk();
    let count: usize = list.named_children(&mut cursor).filter(|child| kinds.is_parameter(*child)).map(names_in).sum();
    let only_void = count == 1 && list.named_child(0).is_some_and(|only| &text[only.byte_range()] == b"void");
    if only_void { 0 } else { count as u32 }
}

fn names_in(parameter: Node<'_>) -> usize {
    let mut cursor = parameter.walk();
    parameter.children_by_field_name("name", &mut cursor).count().max(1)
}
