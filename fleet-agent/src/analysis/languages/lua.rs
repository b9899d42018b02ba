//! Lua.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static LUA: Language = Language {
    name: "lua",
    extensions: &["lua", "rockspec", "wlua"],
    file_names: &[],
    interpreters: &["lua", "luajit"],
    grammar: || tree_sitter_lua::LANGUAGE.into(),
    separator: ".",
    comments: &["comment", "hash_bang_line"],
    atoms: &["string"],
    texts: &[],
    code_in_atoms: &[],
    definitions: &[
        Definition { node: "function_declaration", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "function_definition", kind: SymbolKind::Function, name: Name::Binding, role: Role::Function, needs: "" },
    ],
    decisions: &[Token("if"), Token("elseif"), Token("for"), Token("while"), Token("until"), Token("and"), Token("or")],
    cognitive: Cognitive {
        structures: &[Node("if_statement"), Node("for_statement"), Node("while_statement"), Node("repeat_statement")],
        flat: &[Node("elseif_statement"), Node("else_statement"), Node("goto_statement")],
        nests: &[],
        logical: &["and", "or"],
        ifs: &[],
        calls: &[("function_call", "name")],
    },
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: &[Import {
        node: "function_call",
        target: Target::Call { function_field: "name", functions: &["require", "dofile", "loadfile"], arguments_field: "arguments" },
    }],
    parameter_lists: &["parameters"],
    not_parameters: &[],
    visibility: Visibility::None,
};
