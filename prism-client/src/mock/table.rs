//! Every operation of the API, once: the trait, the router and the fake are made from this table, so that they cannot
//! disagree.

/// Hands the table to a macro. A line is the method and the path, what it does, the name, and what goes in and out:
///
/// * `path`: the values of the names in braces, in their order;
/// * `query`: the parameters of the query;
/// * `body`: the JSON of the request;
/// * `content`: the bytes of the request.
macro_rules! with_operations {
    ($callback:ident) => { $callback! {
        "POST" "/v1/deployments" "Creates a deployment." 201
            create_deployment(body request: CreateDeployment) -> Deployment;
        "GET" "/v1/deployments" "Lists deployments, newest first." 200
            list_deployments(query query: ListDeployments) -> Page<DeploymentSummary>;
        "GET" "/v1/deployments/{deployment_id}" "Reads a deployment." 200
            get_deployment(path deployment_id: DeploymentId) -> Deployment;
        "PATCH" "/v1/deployments/{deployment_id}" "Changes a deployment." 200
            update_deployment(path deployment_id: DeploymentId, body request: UpdateDeployment) -> Deployment;
        "DELETE" "/v1/deployments/{deployment_id}" "Deletes a deployment." 200
            delete_deployment(path deployment_id: DeploymentId, query query: DeleteDeployment) -> DeletedDeployment;

        "POST" "/v1/deployments/{deployment_id}/messages" "Sends a message." 200
            send_message(path deployment_id: DeploymentId, body request: SendMessage) -> MessageReceipt;
        "GET" "/v1/deployments/{deployment_id}/events" "Streams events." 200
            stream_events(path deployment_id: DeploymentId, query query: StreamEvents) -> Events;

        "GET" "/v1/deployments/{deployment_id}/files" "Lists a directory." 200
            list_files(path deployment_id: DeploymentId, query query: ListFiles) -> FileList;
        "GET" "/v1/deployments/{deployment_id}/files/content" "Reads a file." 200
            read_file(path deployment_id: DeploymentId, query query: FilePath) -> Content;
        "PUT" "/v1/deployments/{deployment_id}/files" "Writes a file." 200
            write_file(path deployment_id: DeploymentId, query query: FilePath, content content: Bytes) -> FileWritten;
        "DELETE" "/v1/deployments/{deployment_id}/files" "Deletes a file or a directory." 200
            delete_file(path deployment_id: DeploymentId, query query: FilePath) -> DeletedFile;

        "GET" "/v1/deployments/{deployment_id}/skills" "Lists skills." 200
            list_skills(path deployment_id: DeploymentId) -> SkillList;
        "POST" "/v1/deployments/{deployment_id}/skills" "Adds a skill." 201
            add_skill(path deployment_id: DeploymentId, body request: Skill) -> SkillInfo;
        "GET" "/v1/deployments/{deployment_id}/skills/{skill_id}" "Reads a skill." 200
            get_skill(path deployment_id: DeploymentId, path skill_id: SkillId) -> SkillDetails;
        "PUT" "/v1/deployments/{deployment_id}/skills/{skill_id}" "Replaces where a skill comes from." 200
            update_skill(path deployment_id: DeploymentId, path skill_id: SkillId, body request: UpdateSkill)
            -> SkillDetails;
        "DELETE" "/v1/deployments/{deployment_id}/skills/{skill_id}" "Removes a skill." 200
            remove_skill(path deployment_id: DeploymentId, path skill_id: SkillId) -> DeletedSkill;

        "GET" "/v1/deployments/{deployment_id}/tools" "Lists tools." 200
            list_tools(path deployment_id: DeploymentId) -> ToolList;
        "PATCH" "/v1/deployments/{deployment_id}/tools/{tool_name}" "Switches a tool on or off." 200
            update_tool(path deployment_id: DeploymentId, path tool_name: String, query query: ToolOrigin,
                body request: UpdateTool) -> Tool;

        "GET" "/v1/deployments/{deployment_id}/mcp-servers" "Lists MCP servers." 200
            list_mcp_servers(path deployment_id: DeploymentId) -> McpServerList;
        "POST" "/v1/deployments/{deployment_id}/mcp-servers" "Adds an MCP server." 201
            add_mcp_server(path deployment_id: DeploymentId, body request: McpServer) -> McpServerInfo;
        "GET" "/v1/deployments/{deployment_id}/mcp-servers/{server_name}" "Reads an MCP server." 200
            get_mcp_server(path deployment_id: DeploymentId, path server_name: String) -> McpServerInfo;
        "PATCH" "/v1/deployments/{deployment_id}/mcp-servers/{server_name}" "Changes an MCP server." 200
            update_mcp_server(path deployment_id: DeploymentId, path server_name: String,
                body request: UpdateMcpServer) -> McpServerInfo;
        "DELETE" "/v1/deployments/{deployment_id}/mcp-servers/{server_name}" "Removes an MCP server." 200
            remove_mcp_server(path deployment_id: DeploymentId, path server_name: String) -> DeletedMcpServer;

        "POST" "/v1/deployments/{deployment_id}/threads" "Opens a thread." 201
            create_thread(path deployment_id: DeploymentId, body request: CreateThread) -> Thread;
        "GET" "/v1/deployments/{deployment_id}/threads" "Lists threads, newest first." 200
            list_threads(path deployment_id: DeploymentId, query query: ListPage) -> Page<ThreadSummary>;
        "GET" "/v1/deployments/{deployment_id}/threads/{thread_id}" "Reads a thread with its messages." 200
            get_thread(path deployment_id: DeploymentId, path thread_id: ThreadId) -> Thread;
        "PATCH" "/v1/deployments/{deployment_id}/threads/{thread_id}" "Sets the title of a thread." 200
            update_thread(path deployment_id: DeploymentId, path thread_id: ThreadId, body request: UpdateThread)
            -> Thread;
        "DELETE" "/v1/deployments/{deployment_id}/threads/{thread_id}" "Deletes a thread." 200
            delete_thread(path deployment_id: DeploymentId, path thread_id: ThreadId) -> DeletedThread;

        "GET" "/v1/deployments/{deployment_id}/runs" "Lists runs, newest first." 200
            list_runs(path deployment_id: DeploymentId, query query: ListPage) -> Page<Run>;
        "GET" "/v1/deployments/{deployment_id}/runs/{run_id}" "Reads a run." 200
            get_run(path deployment_id: DeploymentId, path run_id: RunId) -> Run;
        "POST" "/v1/deployments/{deployment_id}/runs/{run_id}/cancel" "Cancels a run." 200
            cancel_run(path deployment_id: DeploymentId, path run_id: RunId) -> Run;

        "GET" "/v1/deployments/{deployment_id}/approvals" "Lists the questions of the agent, newest first." 200
            list_approvals(path deployment_id: DeploymentId, query query: ListApprovals) -> Page<Approval>;
        "GET" "/v1/deployments/{deployment_id}/approvals/{approval_id}" "Reads a question of the agent." 200
            get_approval(path deployment_id: DeploymentId, path approval_id: ApprovalId) -> Approval;
        "POST" "/v1/deployments/{deployment_id}/approvals/{approval_id}" "Allows or denies what the agent asked for." 200
            answer_approval(path deployment_id: DeploymentId, path approval_id: ApprovalId,
                body request: AnswerApproval) -> Approval;

        "POST" "/v1/deployments/{deployment_id}/automations" "Creates an automation." 201
            create_automation(path deployment_id: DeploymentId, body request: CreateAutomation) -> Automation;
        "GET" "/v1/deployments/{deployment_id}/automations" "Lists automations, newest first." 200
            list_automations(path deployment_id: DeploymentId, query query: ListPage) -> Page<AutomationSummary>;
        "GET" "/v1/deployments/{deployment_id}/automations/{automation_id}" "Reads an automation." 200
            get_automation(path deployment_id: DeploymentId, path automation_id: AutomationId) -> Automation;
        "PATCH" "/v1/deployments/{deployment_id}/automations/{automation_id}" "Changes an automation." 200
            update_automation(path deployment_id: DeploymentId, path automation_id: AutomationId,
                body request: UpdateAutomation) -> Automation;
        "DELETE" "/v1/deployments/{deployment_id}/automations/{automation_id}" "Deletes an automation." 200
            delete_automation(path deployment_id: DeploymentId, path automation_id: AutomationId)
            -> DeletedAutomation;
        "POST" "/v1/deployments/{deployment_id}/automations/{automation_id}/trigger" "Runs an automation now." 200
            trigger_automation(path deployment_id: DeploymentId, path automation_id: AutomationId)
            -> TriggeredAutomation;
        "GET" "/v1/deployments/{deployment_id}/automations/{automation_id}/runs" "Lists the history of an automation." 200
            list_automation_runs(path deployment_id: DeploymentId, path automation_id: AutomationId,
                query query: ListPage) -> Page<AutomationRun>;

        "GET" "/v1/deployments/{deployment_id}/memories" "Lists memories, newest first." 200
            list_memories(path deployment_id: DeploymentId, query query: ListMemories) -> Page<Memory>;
        "POST" "/v1/deployments/{deployment_id}/memories" "Makes a memory." 201
            create_memory(path deployment_id: DeploymentId, body request: CreateMemory) -> Memory;
        "GET" "/v1/deployments/{deployment_id}/memories/{memory_id}" "Reads a memory." 200
            get_memory(path deployment_id: DeploymentId, path memory_id: MemoryId) -> Memory;
        "PATCH" "/v1/deployments/{deployment_id}/memories/{memory_id}" "Sets the content of a memory." 200
            update_memory(path deployment_id: DeploymentId, path memory_id: MemoryId, body request: UpdateMemory)
            -> Memory;
        "DELETE" "/v1/deployments/{deployment_id}/memories/{memory_id}" "Deletes a memory." 200
            delete_memory(path deployment_id: DeploymentId, path memory_id: MemoryId) -> DeletedMemory;

        "POST" "/v1/deployments/{deployment_id}/dreams" "Lets the agent put its memories in order." 201
            start_dream(path deployment_id: DeploymentId) -> Dream;
        "GET" "/v1/deployments/{deployment_id}/dreams" "Lists dreams, newest first." 200
            list_dreams(path deployment_id: DeploymentId, query query: ListPage) -> Page<Dream>;
        "GET" "/v1/deployments/{deployment_id}/dreams/{dream_id}" "Reads a dream." 200
            get_dream(path deployment_id: DeploymentId, path dream_id: DreamId) -> Dream;
        "POST" "/v1/deployments/{deployment_id}/dreams/{dream_id}/revert" "Takes back what a dream changed." 200
            revert_dream(path deployment_id: DeploymentId, path dream_id: DreamId) -> Dream;

        "GET" "/v1/snapshots" "Lists snapshots, newest first." 200
            list_snapshots(query query: ListPage) -> Page<Snapshot>;
        "GET" "/v1/snapshots/{snapshot_id}" "Reads a snapshot." 200
            get_snapshot(path snapshot_id: SnapshotId) -> Snapshot;
        "DELETE" "/v1/snapshots/{snapshot_id}" "Deletes a snapshot." 200
            delete_snapshot(path snapshot_id: SnapshotId) -> DeletedSnapshot;

        "POST" "/v1/webhooks" "Creates a webhook." 201
            create_webhook(body request: CreateWebhook) -> WebhookWithSecret;
        "GET" "/v1/webhooks" "Lists webhooks, newest first." 200
            list_webhooks(query query: ListPage) -> Page<Webhook>;
        "GET" "/v1/webhooks/{webhook_id}" "Reads a webhook." 200
            get_webhook(path webhook_id: WebhookId) -> Webhook;
        "PATCH" "/v1/webhooks/{webhook_id}" "Changes a webhook." 200
            update_webhook(path webhook_id: WebhookId, body request: UpdateWebhook) -> Webhook;
        "DELETE" "/v1/webhooks/{webhook_id}" "Deletes a webhook." 200
            delete_webhook(path webhook_id: WebhookId) -> DeletedWebhook;
        "POST" "/v1/webhooks/{webhook_id}/rotate-secret" "Makes a new secret." 200
            rotate_webhook_secret(path webhook_id: WebhookId) -> WebhookWithSecret;
        "POST" "/v1/webhooks/{webhook_id}/test" "Sends a `ping`." 200
            test_webhook(path webhook_id: WebhookId) -> WebhookDelivery;
        "GET" "/v1/webhooks/{webhook_id}/deliveries" "Lists deliveries, newest first." 200
            list_webhook_deliveries(path webhook_id: WebhookId, query query: ListDeliveries)
            -> Page<WebhookDelivery>;
        "GET" "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}" "Reads a delivery with its body." 200
            get_webhook_delivery(path webhook_id: WebhookId, path delivery_id: WebhookDeliveryId)
            -> WebhookDelivery;
        "POST" "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver" "Sends a delivery again." 200
            redeliver_webhook_delivery(path webhook_id: WebhookId, path delivery_id: WebhookDeliveryId)
            -> WebhookDelivery;
        "POST" "/v1/webhooks/{webhook_id}/redeliver" "Sends again what failed since an instant." 200
            redeliver_webhook(path webhook_id: WebhookId, body request: RedeliverWebhook) -> Redelivered;

        "GET" "/v1/audit-log" "Lists who changed what, newest first." 200
            list_audit_entries(query query: ListAuditEntries) -> Page<AuditEntry>;
    } };
}

pub(super) use with_operations;
