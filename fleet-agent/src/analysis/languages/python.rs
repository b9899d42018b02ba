//! Python.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static PYTHON: Language = Language {
    name: "python",
    extensions: &["py", "pyi", "pyw"],
    file_names: &["SConstruct", "SConscript", "wscript"],
    interpreters: &["python", "pypy"],
    grammar: || tree_sitter_python::LANGUAGE.into(),
    separator: ".",
    comments: &["comment"],
    // An atom that holds one of `code_in_atoms` is descended into: lizard counts the `if` in f"{a if b else c}".
    atoms: &["string", "string_content"],
    texts: &["string"],
    code_in_atoms: &["interpolation"],
    definitions: &[
        Definition { node: "function_definition", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "class_definition", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
        // `f = lambda: …`: a function for ctags, part of the function around it for lizard.
        Definition { node: "lambda", kind: SymbolKind::Function, name: Name::Bound, role: Role::Leaf, needs: "" },
        Definition { node: "type_alias_statement", kind: SymbolKind::Typedef, name: Name::Field("left"), role: Role::Leaf, needs: "" },
    ],
    decisions: &[Token("if"), Token("for"), Token("while"), Token("and"), Token("or"), Token("elif"), Token("except"), Token("finally"), Token("case")],
    cognitive: Cognitive {
        structures: &[
            Node("if_statement"),
            Node("for_statement"),
            Node("while_statement"),
            Node("except_clause"),
            Node("conditional_expression"),
            Node("match_statement"),
        ],
        flat: &[Node("elif_clause"), Node("else_clause")],
        nests: &["lambda"],
        logical: &["and", "or"],
        ifs: &[],
        calls: &[("call", "function")],
    },
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: &[
        Import { node: "import_statement", target: Target::Children(&["dotted_name", "aliased_import"]) },
        Import { node: "import_from_statement", target: Target::Field("module_name") },
        Import { node: "future_import_statement", target: Target::Fixed("__future__") },
    ],
    parameter_lists: &["parameters"],
    not_parameters: &["positional_separator", "keyword_separator"],
    visibility: Visibility::Underscore,
};
