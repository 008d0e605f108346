//! As the module of this name of the crate, for the requests of this module.

macro_rules! required {
    ($($name:ident: $type:literal, $new:literal ($others:literal, $last:literal);)*) => { $(
        #[doc = concat!("```\nuse prism_types::{Timestamp, nullspace::*};\n", "let _ = ", $type, $new, "(", $others, $last, ");\n```")]
        ///
        #[doc = concat!("```compile_fail,E0061\nuse prism_types::{Timestamp, nullspace::*};\n", "let _ = ", $type, $new, "(", $others, ");\n```")]
        ///
        #[doc = concat!("```compile_fail,E0277\nuse prism_types::{Timestamp, nullspace::*};\n", "let _: ", $type, " = Default::default();\n```")]
        mod $name {}
    )* };
}

required! {
    create_agent_deployment: "CreateAgentDeployment", "::new" (r#""demo""#, ", AgentMode::Job");
    execute_program: "ExecuteProgram", "::new" (r#""true""#, r#", [""; 0]"#);
    set_sandbox_timeout: "SetSandboxTimeout", "::new" ("", "1000");
    create_upload: "CreateUpload", "::new" (r#"UploadKind::File, "/workspace/file""#, ", 1_u64");
    create_version: "CreateVersion", "::new" (
        "&BundleManifest::new(Timestamp::UNIX_EPOCH)", r#", &AgentConfig::job("demo", "python main.py")"#);
}
