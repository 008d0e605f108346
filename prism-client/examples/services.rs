//! Services: a bundle of files that is run and reached at a URL, until it is stopped.

use prism_client::{
    Client,
    nullspace::Bundle,
    types::nullspace::{
        AgentConfig, AgentMode, CreateAgentDeployment, CreateService, CreateVersion, Permissions,
        ReadinessProbe, RestartService, StopService,
    },
};

/// What is run. The sandbox sets `PORT`.
const LINE: &str = r#"sed "s/NAME/$NAME/" page.html > index.html; exec python3 -m http.server "$PORT""#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let nullspace = Client::from_env()?.nullspace();
    let request = CreateAgentDeployment::new("site", AgentMode::Service);
    let created = nullspace.deployments().create(request).await?;
    let site = nullspace.deployment(&created.id);

    // A port of the sandbox, which may be one of the machine.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = AgentConfig::service("site", LINE, port)
        .readiness(ReadinessProbe::http("/index.html"))
        .permissions(Permissions::default().public_url(true))
        .requires(["NAME"]);
    let bundle = Bundle::builder().file("page.html", "Hello, NAME!").build(&config)?;
    let version = site.versions().create(CreateVersion::new(bundle.manifest(), &config)).await?;
    site.versions().upload(&version.id, &bundle).await?;
    site.versions().wait_until_ready(&version.id).await?;

    let service = site.services().create(CreateService::new().env("NAME", "cus_123")).await?;
    let ready = site.services().wait_until_ready(&service.id).await?;
    println!("the service is {}", ready.status);

    // The URL has a token, which is good for a while and until the next start: it is asked for when it is needed, and shown to
    // nobody.
    let page = async || -> Result<String, Box<dyn std::error::Error>> {
        let told = site.services().url(&service.id).await?;
        let url = told.public_url.as_ref().ok_or("it has a public URL")?;
        println!("it is at {}", url.without_token());
        Ok(reqwest::get(url.expose()).await?.text().await?)
    };
    println!("{}", page().await?);

    // A restart keeps the id. Its environment is kept nowhere, so it is given again.
    let again = RestartService::new().env("NAME", "cus_456");
    site.services().restart(&service.id, again).await?;
    site.services().wait_until_ready(&service.id).await?;
    println!("{}", page().await?);
    let mut log = site.services().logs(&service.id).tail(5).lines();
    while let Some(line) = log.next().await.transpose()? {
        println!("{} {}", line.created_at, line.message);
    }
    let stopped =
        site.services().stop(&service.id, StopService::new().reason("the end of the example")).await?;
    println!("the service is {}", stopped.status);
    site.delete().await?;
    Ok(())
}
