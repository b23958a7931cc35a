//! `stackrun ps`

use crate::{
    logs::LogPaths,
    session::{
        address::{self, ServiceAddress, Stack},
        state_directory,
    },
    spec::Status,
};

use super::{
    Outcome,
    args::{Format, PsArgs},
    context::Context,
    exit_code,
    failure::Failure,
    print, print_json,
    table::table,
};

pub(super) async fn ps(context: &Context, args: PsArgs) -> Outcome {
    let mut stack = find(context).await?;
    stack
        .workers
        .retain(|worker| args.worker.is_none_or(|wanted| worker.worker == wanted));
    for worker in &mut stack.workers {
        worker
            .services
            .retain(|name, _| args.services.is_empty() || args.services.contains(name));
    }
    match args.format {
        Format::Json => print_json(&stack),
        Format::Text if args.ids => print(&ids(&stack)),
        Format::Text => print(&containers(&stack)),
    }
    Ok(exit_code::SUCCESS)
}

/// The session that is meant, as the engine shows it now.
pub(super) async fn find(context: &Context) -> Result<Stack, Failure> {
    let engine = context.connect().await?;
    let target = context.target(&*engine).await?;
    let observed = engine
        .observe(Some(&target.session))
        .await
        .map_err(|error| Failure::engine(&error))?;
    let logs = LogPaths::new(state_directory(&target.directory, &target.session).join("logs"));
    Ok(address::stack(
        &target.session,
        target.project.as_ref(),
        &observed,
        &logs,
    ))
}

fn ids(stack: &Stack) -> String {
    let services = stack
        .workers
        .iter()
        .flat_map(|worker| worker.services.values());
    services
        .map(|service| format!("{}\n", service.id))
        .collect()
}

fn containers(stack: &Stack) -> String {
    let mut rows = Vec::new();
    for worker in &stack.workers {
        for (name, service) in &worker.services {
            rows.push(vec![
                worker.worker.to_string(),
                name.clone(),
                status(service),
                ports(service),
                service.container.clone(),
            ]);
        }
    }
    table(
        &["WORKER", "SERVICE", "STATUS", "PORTS", "CONTAINER"],
        &rows,
    )
}

fn status(service: &ServiceAddress) -> String {
    match (service.status, service.exit_code, service.health) {
        (Status::Exited, Some(code), _) => format!("exited ({code})"),
        (status, _, Some(health)) => format!("{status} ({health})"),
        (status, _, None) => status.to_string(),
    }
}

fn ports(service: &ServiceAddress) -> String {
    let shown = service.ports.iter().map(|port| {
        format!(
            "{}:{}->{}/{}",
            port.host_ip, port.host_port, port.target, port.protocol
        )
    });
    shown.collect::<Vec<_>>().join(", ")
}
