//! The result for one file: what the engine found in it, independent of where the file lies.
//!
//! All figures are integers, so that merging them in any order gives the same bytes. Ratios are computed when a
//! report is written, by the functions at [`Halstead`] and [`maintainability_index`].

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

/// Everything found in one file. Immutable; its key is (content, language, fingerprint). Its texts are its own, or, where
/// it was read to be shown, `&str` into what it was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord<Text = String> {
    pub language: Text,
    pub bytes: u64,
    pub lines: Lines,
    /// Bytes outside of ERROR nodes, in millionths of all bytes.
    pub confidence_ppm: u32,
    /// The cyclomatic complexity of the file: the sum over its functions plus what stands outside of functions.
    pub cyclomatic: u32,
    pub cognitive: u32,
    pub nesting: u32,
    pub halstead: Halstead,
    pub symbols: Vec<Symbol<Text>>,
    pub functions: Vec<Function<Text>>,
    pub imports: Vec<Text>,
    pub violations: Vec<Violation<Text>>,
}

/// Lines by what stands on them. `total = code + comment + blank`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    pub total: u32,
    /// Something other than a comment stands on it.
    pub code: u32,
    /// A comment and nothing else.
    pub comment: u32,
    /// White space only, also within comments and strings.
    pub blank: u32,
}

/// A definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol<Text = String> {
    pub name: Text,
    pub kind: SymbolKind,
    /// 1-based, of the name.
    pub line: u32,
    /// 1-based, in Unicode scalars, of the name.
    pub column: u32,
    pub end_line: u32,
    /// Names of what it stands in, outermost first, joined as the language does; empty at the top.
    pub container: Text,
    /// As the language says it (`pub`, `private`); empty where it says nothing.
    pub visibility: Text,
    /// The first line of the definition, trimmed and cut.
    pub signature: Text,
}

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SymbolKind {
    Function,
    Method,
    Constructor,
    Class,
    Struct,
    Union,
    Interface,
    Trait,
    Enum,
    Typedef,
    Module,
    Namespace,
    Macro,
    Constant,
    Variable,
    Property,
}

impl SymbolKind {
    pub const fn name(self) -> &'static str {
        match self {
            SymbolKind::Function => "function",
            SymbolKind::Method => "method",
            SymbolKind::Constructor => "constructor",
            SymbolKind::Class => "class",
            SymbolKind::Struct => "struct",
            SymbolKind::Union => "union",
            SymbolKind::Interface => "interface",
            SymbolKind::Trait => "trait",
            SymbolKind::Enum => "enum",
            SymbolKind::Typedef => "typedef",
            SymbolKind::Module => "module",
            SymbolKind::Namespace => "namespace",
            SymbolKind::Macro => "macro",
            SymbolKind::Constant => "constant",
            SymbolKind::Variable => "variable",
            SymbolKind::Property => "property",
        }
    }

    /// A function directly inside one of these is a method.
    pub const fn has_methods(self) -> bool {
        matches!(self, SymbolKind::Class | SymbolKind::Struct | SymbolKind::Union | SymbolKind::Interface | SymbolKind::Trait | SymbolKind::Enum)
    }
}

/// A function's metrics. Nested named functions are counted on their own and not in the outer one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function<Text = String> {
    pub name: Text,
    pub line: u32,
    pub end_line: u32,
    pub lines: Lines,
    pub cyclomatic: u32,
    pub cognitive: u32,
    /// Deepest nesting of control structures.
    pub nesting: u32,
    pub parameters: u32,
    pub halstead: Halstead,
}

/// Halstead's counts (M. H. Halstead, "Elements of Software Science", 1977). Operators are unnamed tokens apart from
/// closing brackets; operands are identifiers and literals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halstead {
    pub operators_distinct: u32,
    pub operands_distinct: u32,
    pub operators: u32,
    pub operands: u32,
}

impl Halstead {
    /// `(N1 + N2) · log2(n1 + n2)`, in bits.
    pub fn volume(&self) -> f64 {
        let vocabulary = self.operators_distinct + self.operands_distinct;
        let length = f64::from(self.operators) + f64::from(self.operands);
        if vocabulary == 0 { 0.0 } else { length * libm::log2(f64::from(vocabulary)) }
    }

    /// `n1 / 2 · N2 / n2`.
    pub fn difficulty(&self) -> f64 {
        if self.operands_distinct == 0 {
            return 0.0;
        }
        f64::from(self.operators_distinct) / 2.0 * f64::from(self.operands) / f64::from(self.operands_distinct)
    }

    /// `difficulty · volume`.
    pub fn effort(&self) -> f64 {
        self.difficulty() * self.volume()
    }
}

/// The maintainability index on the scale 0 to 100 as Visual Studio gives it:
/// `max(0, (171 − 5.2 ln V − 0.23 G − 16.2 ln LOC) · 100 / 171)` (Oman and Hagemeister 1992, rescaled by Microsoft 2007).
/// V is Halstead's volume, G the cyclomatic complexity, LOC the lines of code.
pub fn maintainability_index(halstead: &Halstead, cyclomatic: u32, code_lines: u32) -> f64 {
    let ln = |x: f64| if x > 1.0 { libm::log(x) } else { 0.0 };
    let raw = 171.0 - 5.2 * ln(halstead.volume()) - 0.23 * f64::from(cyclomatic) - 16.2 * ln(f64::from(code_lines));
    (raw * 100.0 / 171.0).clamp(0.0, 100.0)
}

/// A rule's finding. Empty until rules exist; the place in the record is fixed so that readers need no change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation<Text = String> {
    pub rule: Text,
    pub severity: Text,
    pub line: u32,
    pub column: u32,
    pub message: Text,
}

/// What the master keeps of a file: enough for totals and rankings without fetching the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSummary {
    pub bytes: u64,
    pub lines: Lines,
    pub confidence_ppm: u32,
    pub symbols: u32,
    pub functions: u32,
    pub cyclomatic: u32,
    pub cognitive: u32,
    /// The file's worst function, and every other at or above [`COMPLEX`], worst first, [`WORST_PER_FILE_MAX`] at most.
    pub worst: Vec<WorstFunction>,
}

/// A function at or above this cyclomatic complexity is worth naming (McCabe's own limit).
pub const COMPLEX: u32 = 10;
/// Named functions a file; bounds a summary to about two kilobytes.
pub const WORST_PER_FILE_MAX: usize = 20;

/// A function as the rankings show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstFunction {
    pub name: String,
    pub line: u32,
    pub code: u32,
    pub cyclomatic: u32,
    pub cognitive: u32,
}

impl Symbol<&str> {
    /// With texts of its own.
    pub fn to_owned(&self) -> Symbol {
        let Symbol { name, kind, line, column, end_line, container, visibility, signature } = *self;
        Symbol { name: name.into(), kind, line, column, end_line, container: container.into(), visibility: visibility.into(), signature: signature.into() }
    }
}

impl<Text: AsRef<str>> FileRecord<Text> {
    pub fn summary(&self) -> FileSummary {
        let mut order: Vec<&Function<Text>> = self.functions.iter().collect();
        order.sort_by(|a, b| b.cyclomatic.cmp(&a.cyclomatic).then(b.cognitive.cmp(&a.cognitive)).then(a.line.cmp(&b.line)));
        let worth_naming = |(place, function): &(usize, &Function<Text>)| *place == 0 || function.cyclomatic >= COMPLEX;
        let named = order.into_iter().enumerate().take_while(worth_naming).take(WORST_PER_FILE_MAX);
        FileSummary {
            bytes: self.bytes,
            lines: self.lines,
            confidence_ppm: self.confidence_ppm,
            symbols: self.symbols.len() as u32,
            functions: self.functions.len() as u32,
            cyclomatic: self.cyclomatic,
            cognitive: self.cognitive,
            worst: named.map(|(_, function)| WorstFunction::of(function)).collect(),
        }
    }
}

impl WorstFunction {
    fn of(function: &Function<impl AsRef<str>>) -> WorstFunction {
        WorstFunction {
            name: function.name.as_ref().into(),
            line: function.line,
            code: function.lines.code,
            cyclomatic: function.cyclomatic,
            cognitive: function.cognitive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halstead_of_a_small_vocabulary() {
        let halstead = Halstead { operators_distinct: 4, operands_distinct: 4, operators: 10, operands: 6 };
        assert_eq!(halstead.volume(), 16.0 * 3.0);
        assert_eq!(halstead.difficulty(), 2.0 * 6.0 / 4.0);
        assert_eq!(halstead.effort(), 144.0);
        assert_eq!(Halstead::default().effort(), 0.0);
    }

    #[test]
    fn maintainability_stays_on_its_scale() {
        assert_eq!(maintainability_index(&Halstead::default(), 0, 0), 100.0);
        let huge = Halstead { operators_distinct: 500, operands_distinct: 60_000, operators: 4_000_000, operands: 4_000_000 };
        assert_eq!(maintainability_index(&huge, 9_000, 400_000), 0.0);
    }

    #[test]
    fn summary_names_the_worst_and_every_complex_function() {
        let function = |name: &str, cyclomatic| Function { name: name.into(), cyclomatic, ..Function::default() };
        let names = |record: FileRecord| record.summary().worst.into_iter().map(|w| w.name).collect::<Vec<_>>();
        let simple = FileRecord { functions: alloc::vec![function("a", 2), function("b", 3)], ..FileRecord::default() };
        assert_eq!(names(simple), ["b"]);
        let complex = FileRecord { functions: alloc::vec![function("a", 12), function("b", 30), function("c", 9)], ..FileRecord::default() };
        assert_eq!(names(complex), ["b", "a"]);
    }
}
