//! The one walk over a tree.
//!
//! Preorder, with the ancestors on an explicit stack. Each node's kind is looked up in the compiled table; most nodes
//! have no trait and cost one look. What a trait leads to lives with the thing it measures: lines, halstead, functions, symbols.

use std::{collections::VecDeque, ops::Range};

use bitacora_core::wire::record::{FileRecord, SymbolKind};
use tree_sitter::{Node, Tree, TreeCursor};

use super::{
    AnalysisError, Watch,
    functions::{FUNCTION_BYTES, Frames, Opening},
    halstead::Counter,
    kinds::{self, Kinds, Traits},
    languages::{Definition, Language, Rescue, Role},
    lines::LineIndex,
    rescue::{self, TextFunction},
    symbols::{self, Found, Scopes},
};

/// Traits that need more than counting an operator or an operand.
const MARKED: Traits = !(kinds::NAMED | kinds::CLOSER);

/// Tokens between a function's name and its body in a macro.
const RESCUED_TOKENS_MAX: usize = 64;
/// Children of one expression that are looked through for its operators; what stands behind is a run of its own.
const OPERANDS_MAX: usize = 64;
/// Nodes between two looks at whether the walk should end.
const LOOK_EVERY: u32 = 4096;
/// What one file's walk may hold: symbols with their names and containers, functions, imports, ancestors. Real files of 5 MiB stay
/// below a tenth of it.
const HELD_BYTES_MAX: usize = 64 << 20;

/// What is kept from file to file for its capacity alone.
#[derive(Default)]
pub(super) struct Buffers {
    lines: LineIndex,
    counter: Counter,
    comments: Vec<(u32, u32)>,
}

/// An ancestor of the node the walk is at.
pub(super) struct Open<'t> {
    pub(super) node: Node<'t>,
    kind: u16,
    traits: Traits,
    opened: Opened,
}

/// What entering a node opened, to be closed when it is left.
#[derive(Clone, Copy, Default)]
struct Opened {
    nesting: bool,
    function: bool,
    scope: bool,
}

pub(super) struct Walk<'a> {
    text: &'a [u8],
    language: &'static Language,
    kinds: &'static Kinds,
    buffers: &'a mut Buffers,
    frames: Frames,
    scopes: Scopes,
    found: Vec<Found>,
    imports: Vec<String>,
    error_bytes: usize,
    /// The outermost ERROR node that the walk is in ends here.
    error_end: usize,
    after_else: bool,
    /// Decisions in here are the preprocessor's.
    outside: Range<usize>,
    rescued: Rescued,
    /// What was found so far comes to.
    found_bytes: usize,
    watch: &'a Watch<'a>,
}

/// Functions that are no nodes: those still to come, and where the open ones end.
#[derive(Default)]
struct Rescued {
    coming: VecDeque<TextFunction>,
    open: Vec<usize>,
    /// The tree's own functions are not to be trusted.
    from_text: bool,
    /// The next byte at which one begins or ends.
    boundary: Option<usize>,
}

impl Rescued {
    fn set_boundary(&mut self) {
        let start = self.coming.front().map(|function| function.name.start);
        self.boundary = [self.open.last().copied(), start].into_iter().flatten().min();
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a [u8], language: &'static Language, kinds: &'static Kinds, buffers: &'a mut Buffers, watch: &'a Watch<'a>) -> Walk<'a> {
        buffers.counter.clear();
        buffers.comments.clear();
        buffers.lines.read(text);
        Walk {
            text,
            language,
            kinds,
            buffers,
            frames: Frames::default(),
            scopes: Scopes::default(),
            found: Vec::new(),
            imports: Vec::new(),
            error_bytes: 0,
            error_end: 0,
            after_else: false,
            outside: 0..0,
            rescued: Rescued::default(),
            found_bytes: 0,
            watch,
        }
    }

    /// Walks the tree and sums up.
    pub(super) fn record(mut self, tree: &Tree) -> Result<FileRecord, AnalysisError> {
        if self.language.rescue == Rescue::CText && tree.root_node().has_error() {
            self.rescued.coming = rescue::functions(self.text).into();
            self.rescued.from_text = true;
            self.rescued.set_boundary();
        }
        self.descend(&mut tree.walk())?;
        self.cross(usize::MAX);
        Ok(self.finish())
    }

    fn descend<'t>(&mut self, cursor: &mut TreeCursor<'t>) -> Result<(), AnalysisError> {
        let mut ancestors: Vec<Open<'t>> = Vec::new();
        let mut steps = 0_u32;
        loop {
            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(LOOK_EVERY) {
                self.watch.look()?;
            }
            if self.found_bytes + ancestors.len() * size_of::<Open<'_>>() > HELD_BYTES_MAX {
                return Err(AnalysisError::TooLarge(HELD_BYTES_MAX));
            }
            let node = cursor.node();
            let kind = node.kind_id();
            let mut open = Open { node, kind, traits: self.kinds.of(kind), opened: Opened::default() };
            let enter = open.traits & MARKED == 0 || self.on_marked(&mut open, &ancestors);
            if enter && cursor.goto_first_child() {
                ancestors.push(open);
                continue;
            }
            if enter || open.traits & kinds::ATOM != 0 {
                self.on_leaf(&open);
            }
            self.leave(&open);
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return Ok(());
                }
                let parent = ancestors.pop().expect("the cursor is as deep as the stack");
                self.leave(&parent);
            }
        }
    }

    fn on_leaf(&mut self, leaf: &Open<'_>) {
        let (start, end) = (leaf.node.start_byte(), leaf.node.end_byte());
        if start == end {
            return;
        }
        if self.rescued.boundary.is_some_and(|boundary| boundary <= start) {
            self.cross(start);
        }
        if leaf.traits & kinds::NAMED != 0 {
            self.buffers.counter.operand(&self.text[start..end]);
        } else if leaf.traits & kinds::CLOSER == 0 {
            self.buffers.counter.operator(leaf.kind);
        }
        self.after_else = leaf.traits & kinds::ELSE != 0;
    }

    /// Answers whether the walk goes into the node.
    fn on_marked(&mut self, open: &mut Open<'_>, ancestors: &[Open<'_>]) -> bool {
        if open.traits & kinds::COMMENT != 0 {
            self.buffers.comments.push((open.node.start_byte() as u32, open.node.end_byte() as u32));
            return false;
        }
        if self.rescued.boundary.is_some() {
            self.cross(open.node.start_byte());
        }
        if open.traits & kinds::CONDITIONAL != 0 {
            open.traits |= self.kinds.here(open.kind, ancestors.last().map(|parent| parent.kind), open.node, self.text);
        }
        let traits = open.traits;
        if traits & kinds::TEXT != 0 {
            let (first, last) = (open.node.start_position().row, open.node.end_position().row);
            if first != last {
                self.buffers.lines.add_text(first, last);
            }
        }
        if traits & kinds::ERROR != 0 {
            self.on_error(open.node);
        }
        if traits & kinds::OUTSIDE_CONDITION != 0 {
            self.outside = open.node.child_by_field_name("condition").map_or(0..0, |condition| condition.byte_range());
        }
        if traits & kinds::RESCUE != 0 {
            self.rescue_tokens(open.node, ancestors.last().map(|parent| parent.node));
        }
        if traits & kinds::IMPORT != 0 {
            let import = self.kinds.import(open.kind).expect("the trait says so");
            let before = self.imports.len();
            symbols::import_targets(import, open.node, self.text, &mut self.imports);
            self.found_bytes += self.imports[before..].iter().map(|target| size_of::<String>() + target.len()).sum::<usize>();
        }
        if traits & kinds::DEFINITION != 0 {
            self.on_definition(open, ancestors);
        }
        self.on_control(open, ancestors);
        traits & kinds::ATOM == 0 || (traits & kinds::CODE_INSIDE != 0 && self.kinds.holds_code(open.node))
    }

    fn on_control(&mut self, open: &mut Open<'_>, ancestors: &[Open<'_>]) {
        let traits = open.traits;
        let frame = self.frames.current();
        if traits & kinds::DECISION != 0 && !self.outside.contains(&open.node.start_byte()) {
            frame.cyclomatic += 1;
        }
        if traits & kinds::LESS != 0 {
            frame.cyclomatic -= 1;
        }
        if traits & kinds::FLAT != 0 {
            frame.add_cognitive(1);
        }
        if traits & kinds::LOGICAL != 0 && starts_a_run(open, ancestors) {
            frame.add_cognitive(1);
        }
        if traits & kinds::STRUCTURE != 0 && !self.is_else_if(open, ancestors) {
            let frame = self.frames.current();
            frame.add_cognitive(1 + frame.nesting);
            frame.nest();
            open.opened.nesting = true;
        } else if traits & kinds::NESTS != 0 && !open.opened.function {
            self.frames.current().nest();
            open.opened.nesting = true;
        }
        if traits & kinds::CALL != 0
            && let Some(called) = self.kinds.called(open.kind, open.node)
        {
            self.frames.on_call(&self.text[called.byte_range()]);
        }
    }

    fn is_else_if(&self, open: &Open<'_>, ancestors: &[Open<'_>]) -> bool {
        let below_else = ancestors.last().is_some_and(|parent| parent.traits & kinds::FLAT != 0);
        open.traits & kinds::IF != 0 && (self.after_else || below_else)
    }

    fn on_error(&mut self, node: Node<'_>) {
        if node.start_byte() >= self.error_end {
            self.error_bytes += node.end_byte() - node.start_byte();
            self.error_end = node.end_byte();
        }
    }

    fn on_definition(&mut self, open: &mut Open<'_>, ancestors: &[Open<'_>]) {
        let inside_function = self.frames.inside_function();
        let applies = |definition: &Definition| match definition.role {
            Role::OuterFunction if self.rescued.from_text => false,
            Role::OuterLeaf | Role::OuterFunction => !inside_function,
            _ => true,
        };
        let Some(definition) = self.kinds.definition(open.kind, open.node, applies) else { return };
        let names = symbols::names(definition, open.node, ancestors.last().map(|parent| parent.node));
        let Some(first) = names.first() else { return };
        let first_text = first.text(self.text);
        if definition.role != Role::Scope {
            for name in names.iter().filter(|name| !name.is_anonymous()) {
                let text = name.text(self.text);
                let visibility = symbols::visibility(&self.language.visibility, open.node, &text, self.text);
                self.found_bytes += self.scopes.add(&mut self.found, definition, name.found(open.node, &text, visibility));
            }
        }
        match definition.role {
            Role::Function | Role::OuterFunction => {
                self.scopes.enter(&first_text, SymbolKind::Function, self.language.separator);
                self.found_bytes += FUNCTION_BYTES + first_text.len();
                self.frames.open(Opening::of(first_text.into_owned(), first.row(open.node), open.node, self.kinds, self.text));
                self.buffers.counter.open();
                open.opened.function = true;
            }
            Role::Container | Role::Scope => {
                self.scopes.enter(&first_text, definition.kind, self.language.separator);
                open.opened.scope = true;
            }
            Role::Leaf | Role::OuterLeaf => {}
        }
    }

    /// Ends and begins the rescued functions that end or begin up to `byte`.
    fn cross(&mut self, byte: usize) {
        while self.rescued.boundary.is_some_and(|boundary| boundary <= byte) {
            if self.rescued.open.last().is_some_and(|end| *end <= byte) {
                self.rescued.open.pop();
                self.frames.close(self.buffers.counter.close());
            } else if let Some(function) = self.rescued.coming.pop_front() {
                self.open_rescued(function.name, function.end, function.parameters);
            }
            self.rescued.set_boundary();
        }
    }

    /// `fn name … { … }` among the tokens of a macro: from the keyword on, by a cursor over its list. A node's own next
    /// sibling is looked for from the root, which a hostile nesting would make quadratic.
    fn rescue_tokens(&mut self, keyword: Node<'_>, list: Option<Node<'_>>) {
        let Some(list) = list else { return };
        let mut cursor = list.walk();
        if cursor.goto_first_child_for_byte(keyword.start_byte()).is_none() || cursor.node() != keyword || !cursor.goto_next_sibling() {
            return;
        }
        let name = cursor.node();
        if name.kind() != "identifier" {
            return;
        }
        for _ in 0..RESCUED_TOKENS_MAX {
            if !cursor.goto_next_sibling() || cursor.node().kind() == ";" {
                return;
            }
            let node = cursor.node();
            if node.kind() == "token_tree" && self.text[node.start_byte()] == b'{' {
                self.open_rescued(name.byte_range(), node.end_byte(), 0);
                return self.rescued.set_boundary();
            }
        }
    }

    fn open_rescued(&mut self, name: Range<usize>, end: usize, parameters: u32) {
        self.found_bytes += symbols::SYMBOL_BYTES + FUNCTION_BYTES + 2 * name.len();
        let lines = &self.buffers.lines;
        let text = String::from_utf8_lossy(&self.text[name.clone()]).into_owned();
        let (row, last_row) = (lines.row_of(name.start), lines.row_of(end.saturating_sub(1)));
        self.scopes.add_rescued(&mut self.found, Found::function(&text, name, lines, end.saturating_sub(1)));
        self.frames.open(Opening { name: text, name_row: row, first_row: row, last_row, parameters });
        self.buffers.counter.open();
        self.rescued.open.push(end);
    }

    fn leave(&mut self, open: &Open<'_>) {
        if open.opened.nesting {
            self.frames.current().unnest();
        }
        if open.opened.function {
            self.cross(open.node.end_byte());
            let halstead = self.buffers.counter.close();
            self.frames.close(halstead);
        }
        if open.opened.function || open.opened.scope {
            self.scopes.leave();
        }
    }

    fn finish(self) -> FileRecord {
        let Buffers { lines, counter, comments } = self.buffers;
        lines.classify(self.text, comments);
        let bytes = self.text.len();
        let (whole, functions) = self.frames.finish(lines);
        FileRecord {
            language: self.language.name.to_owned(),
            bytes: bytes as u64,
            lines: lines.all(),
            confidence_ppm: ((bytes - self.error_bytes.min(bytes)) as u64 * 1_000_000).checked_div(bytes as u64).unwrap_or(1_000_000) as u32,
            cyclomatic: whole.cyclomatic,
            cognitive: whole.cognitive,
            nesting: whole.nesting_max,
            halstead: counter.file(),
            symbols: symbols::finish(self.found, lines, self.text),
            functions,
            imports: self.imports,
            violations: Vec::new(),
        }
    }
}

/// A run of one logical operator counts once: an operator continues the run of the same operator before it in a flat list
/// of operands, and that of the expression that its own is an operand of.
fn starts_a_run(operator: &Open<'_>, ancestors: &[Open<'_>]) -> bool {
    let Some(expression) = ancestors.last() else { return true };
    if let Some(earlier) = operator_before(expression.node, operator.node) {
        return earlier != operator.kind;
    }
    let outer = ancestors.len().checked_sub(2).map(|place| &ancestors[place]).filter(|outer| outer.kind == expression.kind);
    outer.is_none_or(|outer| operator_before(outer.node, outer.node) != Some(operator.kind))
}

/// The last unnamed child that stands before `end`, or the first one of all when `end` is the node itself.
fn operator_before(expression: Node<'_>, end: Node<'_>) -> Option<u16> {
    let mut cursor = expression.walk();
    let mut operators = expression.children(&mut cursor).take(OPERANDS_MAX).filter(|child| !child.is_named());
    if end == expression {
        return operators.next().map(|operator| operator.kind_id());
    }
    operators.take_while(|operator| *operator != end).last().map(|operator| operator.kind_id())
}
