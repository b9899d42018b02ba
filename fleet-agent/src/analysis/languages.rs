//! The languages: one file and one table each.
//!
//! A table names grammar node kinds; it holds no code. `analysis::kinds` compiles a table into an array indexed
//! by the grammar's symbol numbers, and the one walk over the tree reads that array. A language that needs a
//! branch of its own gets a new variant here, so that the next language can use it too.

mod bash;
mod c;
mod c_sharp;
mod cpp;
mod css;
mod go;
mod html;
mod java;
mod javascript;
mod json;
mod kotlin;
mod lua;
mod php;
mod python;
mod ruby;
mod rust;
mod scala;
mod typescript;
mod yaml;

use bitacora_core::wire::record::SymbolKind;

/// Every language, in the order of their numbers. A number is part of no stored form: records carry the name.
pub static LANGUAGES: [&Language; 20] = [
    &bash::BASH,
    &c::C,
    &c_sharp::C_SHARP,
    &cpp::CPP,
    &css::CSS,
    &go::GO,
    &html::HTML,
    &java::JAVA,
    &javascript::JAVASCRIPT,
    &json::JSON,
    &kotlin::KOTLIN,
    &lua::LUA,
    &php::PHP,
    &python::PYTHON,
    &ruby::RUBY,
    &rust::RUST,
    &scala::SCALA,
    &typescript::TSX,
    &typescript::TYPESCRIPT,
    &yaml::YAML,
];

/// What the engine knows of one language.
pub struct Language {
    /// As in reports: lower case, `c-sharp`, `typescript`.
    pub name: &'static str,
    /// Without the dot, lower case.
    pub extensions: &'static [&'static str],
    /// Whole file names, as written.
    pub file_names: &'static [&'static str],
    /// Programs named by a `#!` line, without version digits.
    pub interpreters: &'static [&'static str],
    pub grammar: fn() -> tree_sitter::Language,
    /// Between the names of nested containers: `::` or `.`.
    pub separator: &'static str,
    /// Node kinds that are comments and nothing else; not descended into.
    pub comments: &'static [&'static str],
    /// Named kinds counted as one Halstead operand and not descended into (string literals without code in them).
    /// Every other named leaf is an operand, every unnamed leaf an operator, closing brackets apart.
    pub atoms: &'static [&'static str],
    /// Kinds of texts over several lines whose blank lines are code: they are part of a value (tokei counts them so).
    pub texts: &'static [&'static str],
    /// Kinds that make an atom that holds one no atom: code in string interpolations is code.
    pub code_in_atoms: &'static [&'static str],
    pub definitions: &'static [Definition],
    /// What adds one to the cyclomatic complexity of the function around it (McCabe 1976, tokens as lizard counts them).
    pub decisions: &'static [Mark],
    pub cognitive: Cognitive,
    /// Nodes whose field `condition` holds decisions that are the preprocessor's and not the function's.
    pub outside_conditions: &'static [&'static str],
    pub rescue: Rescue,
    pub imports: &'static [Import],
    /// Kinds of the lists whose named children, comments apart, are a function's parameters.
    pub parameter_lists: &'static [&'static str],
    /// Children of a parameter list that are no parameters (`*` and `/` separators, attributes).
    pub not_parameters: &'static [&'static str],
    pub visibility: Visibility,
}

/// A node kind to look for.
pub enum Mark {
    /// An unnamed token anywhere: `Token("if")`.
    Token(&'static str),
    /// A named node.
    Node(&'static str),
    /// A token or node (second) directly below the named node (first): `In("ternary_expression", "?")`.
    In(&'static str, &'static str),
    /// A named leaf with exactly this text: `Text("identifier", "_ASSERT")`.
    Text(&'static str, &'static str),
    /// A named node (first) that has a field, or a direct child, of this name (second).
    With(&'static str, &'static str),
    /// Takes one away again: Kotlin's `when` counts its branches less one.
    Less(&'static str),
}

/// Cognitive complexity (G. Ann Campbell, "Cognitive Complexity", SonarSource 2018 to 2023).
pub struct Cognitive {
    /// Control structures: one plus the nesting around them, and they nest what they hold.
    /// An `if` that follows an `else` is recognised by itself and adds nothing.
    pub structures: &'static [Mark],
    /// One each, whatever the nesting: `else`, `elif`, labelled jumps.
    pub flat: &'static [Mark],
    /// Nest what they hold and add nothing: lambdas, closures.
    pub nests: &'static [&'static str],
    /// Operator tokens of which each run of the same operator adds one: `&&`, `||`, `and`, `or`.
    pub logical: &'static [&'static str],
    /// The kinds that an `if` has in this grammar: one that follows an `else` directly is an `else if`.
    pub ifs: &'static [&'static str],
    /// Call nodes and the field that holds what is called, for direct recursion.
    pub calls: &'static [(&'static str, &'static str)],
}

impl Cognitive {
    /// For languages without functions.
    pub const NONE: Cognitive = Cognitive { structures: &[], flat: &[], nests: &[], logical: &[], ifs: &[], calls: &[] };
}

/// A node that defines a symbol.
pub struct Definition {
    pub node: &'static str,
    pub kind: SymbolKind,
    pub name: Name,
    pub role: Role,
    /// A field, or a direct child, that must be present; `field:kind` for a field of that kind; or empty. A `struct`
    /// without a body is a mention, no definition. The first of a node's definitions that applies counts.
    pub needs: &'static str,
}

/// Where a definition's name stands.
pub enum Name {
    /// The node in this field.
    Field(&'static str),
    /// Down the chain of `declarator` fields, as in C, to the first identifier. Several declarators define several symbols.
    Declarator,
    /// The first child of one of these kinds.
    Child(&'static [&'static str]),
    /// Every direct child in this field: `a, b := …`.
    EachField(&'static str),
    /// As `Declarator`, but declarations of functions are none.
    VariableDeclarator,
    /// The node in the field, or this text.
    FieldOr(&'static str, &'static str),
    /// This text and the node in the field: `~Name`.
    Prefixed(&'static str, &'static str),
    /// As `Binding`, but no symbol where there is none.
    Bound,
    /// What the function is bound to: the parent's `name`, `key`, `left` or `property` field; `(anonymous)` where there is none.
    Binding,
    /// The node in this field; where it is missing, as `Binding`.
    FieldOrBinding(&'static str),
    /// Always this.
    Fixed(&'static str),
}

/// What a definition does to what stands inside it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Metrics are counted for it; it is a container too.
    Function,
    /// As `Function`, outside of functions only; inside it is part of the function around it.
    OuterFunction,
    /// What stands inside names it as its container; functions in it are methods.
    Container,
    /// A container that is no symbol itself: Rust's `impl`. Its name counts.
    Scope,
    /// A symbol and nothing more.
    Leaf,
    /// As `Leaf`, but only outside of functions: top-level constants and variables.
    OuterLeaf,
}

/// Where functions are looked for that are no nodes of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rescue {
    None,
    /// In the text, C's way, where the tree has errors: its macros are no syntax.
    CText,
    /// In the tokens of macros: in a node of this kind a token `fn` and the identifier after it.
    Tokens {
        node: &'static str,
        keyword: &'static str,
    },
}

/// A node that names something imported.
pub struct Import {
    pub node: &'static str,
    pub target: Target,
}

/// Where an import's target stands.
pub enum Target {
    /// The text of this field, without quotes.
    Field(&'static str),
    /// The text of this field with its quotes or brackets, where these mean different places.
    Verbatim(&'static str),
    /// The text of the first direct child of one of these kinds.
    First(&'static [&'static str]),
    /// All after the first token.
    Rest,
    /// Always this.
    Fixed(&'static str),
    /// The text of each direct child of one of these kinds.
    Children(&'static [&'static str]),
    /// The text of the argument of a call of one of these functions: `require("x")`.
    Call { function_field: &'static str, functions: &'static [&'static str], arguments_field: &'static str },
}

/// How a language says who may use a symbol.
pub enum Visibility {
    /// It does not.
    None,
    /// By a child of one of these kinds; its text is the answer, `default` where there is none.
    Modifier { kinds: &'static [&'static str], default: &'static str },
    /// By one of these words among the text of a child of one of these kinds (`modifiers`), else `default`.
    Keyword { kinds: &'static [&'static str], words: &'static [&'static str], default: &'static str },
    /// A leading underscore is `private`, anything else `public` (PEP 8).
    Underscore,
    /// An upper-case first letter is `public`, anything else `package` (Go specification, "Exported identifiers").
    Capital,
}
