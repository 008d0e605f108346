//! A request without a required field does not compile. These examples show it when the documentation is tested.
//!
//! Each request is made here whole, which compiles, and without its last argument, which does not. Nor has it a default
//! to begin with.

macro_rules! required {
    ($($name:ident: $type:literal, $new:literal ($others:literal, $last:literal);)*) => { $(
        #[doc = concat!("```\nuse prism_types::*;\n", "let _ = ", $type, $new, "(", $others, $last, ");\n```")]
        ///
        #[doc = concat!("```compile_fail,E0061\nuse prism_types::*;\n", "let _ = ", $type, $new, "(", $others, ");\n```")]
        ///
        #[doc = concat!("```compile_fail,E0277\nuse prism_types::*;\n", "let _: ", $type, " = Default::default();\n```")]
        mod $name {}
    )* };
}

required! {
    answer_approval: "AnswerApproval", "::new" ("", "Decision::Allow");
    attachment: "Attachment", "::new" ("AttachmentType::Image", r#", "https://example.com/a.png""#);
    create_automation: "CreateAutomation", "::new" (r#""Digest", "@daily""#, r#", "Sum up what is new.""#);
    create_deployment: "CreateDeployment", "::new" (r#""cus_123", "Acme""#, r#", "You are Acme's agent.""#);
    create_memory: "CreateMemory", "::new" ("", r#""They like short answers.""#);
    create_webhook: "CreateWebhook", "::new" (r#""https://example.com/hook""#, ", [WebhookEventType::All]");
    mcp_server: "McpServer", "::new" (r#""media""#, r#", "https://example.com/mcp""#);
    redeliver_webhook: "RedeliverWebhook", "::new" ("", "Timestamp::UNIX_EPOCH");
    send_message: "SendMessage", "::new" ("", r#""Plan our summer campaign.""#);
    skill_file: "Skill", "::file" (r#""effects""#, r#", "skills/effects/SKILL.md""#);
    skill_inline: "Skill", "::inline" (r#""effects""#, r##", "# Steps""##);
    skill_url: "Skill", "::url" (r#""effects""#, r#", "https://example.com/SKILL.md""#);
    update_memory: "UpdateMemory", "::new" ("", r#""They like long answers.""#);
    update_tool: "UpdateTool", "::new" ("", "true");
    write_file: "WriteFile", "::text" (r#""notes.md""#, r##", "# Notes""##);
}
