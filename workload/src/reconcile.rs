//! Compares the engine's state with the declarations and makes the changes: images first, then containers.

use super::order::{in_order, network_of};
use berth_contract::{
    container::{ContainerRestart, ContainerSpec, Declared, Existing},
    container_state::ContainerState,
    control::ContainerStatus,
    digest::Sha256,
    image_spec::PreloadedImage,
};
use berth_engine::{Container, EngineClient, EngineError, Listing};
use sha2::Digest;
use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path, thread, time::Duration};

/// A container that cannot run (a wrong command, for example) exits within this time after its start.
const SETTLING: Duration = Duration::from_millis(300);
/// Number of inspections, one second apart, before a container that the engine has restarted counts as running.
const INSPECTIONS: usize = 5;

/// The result of [`reconcile`].
#[derive(Debug, Default)]
pub struct Report {
    /// The state of every declared container.
    pub containers: Vec<ContainerStatus>,
    /// The faults of required containers and of images, one sentence each.
    pub faults: Vec<String>,
}

/// Why a container is not as declared.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("image {0:?}: expected an image that is preloaded or was pulled before, found none")]
    NoImage(String),
    #[error("a container of this name exists that was not created from a declaration; rename or remove it")]
    Foreign,
    #[error("waits for its own network: container:{0}")]
    Circle(String),
    #[error("needs the network of container {0}, which does not run")]
    NoNetwork(String),
    #[error("cannot create {path}: {source}")]
    Volume { path: String, source: std::io::Error },
    #[error("exited with status {0}")]
    Ended(i64),
    #[error("{0}")]
    NotStarted(String),
    #[error("keeps exiting, last with status {0}")]
    Loops(i64),
    #[error("is {0} after its start")]
    NotRunning(ContainerState),
    #[error("is gone after its start")]
    Gone,
}

/// Imports missing images, creates containers that are new or have changed, removes containers that are no longer declared, and starts
/// all declared ones. A failure of one container does not stop the others.
///
/// [`Declared::existing`] limits what happens to existing containers. Host directories of volumes are created only below `var`.
pub fn reconcile(engine: &dyn EngineClient, images: &[PreloadedImage], all: &Declared, var: &Path) -> Report {
    pass(engine, images, all, var, false)
}

/// Like [`reconcile`]. With `again`, it is not the first time at this boot: a container that is as declared and has exited stays so, because
/// it has finished, or somebody has stopped it.
pub(crate) fn pass(
    engine: &dyn EngineClient,
    images: &[PreloadedImage],
    all: &Declared,
    var: &Path,
    again: bool,
) -> Report {
    let declared = &all.containers[..];
    let mut report = Report::default();
    for image in images {
        if let Err(error) = import(engine, image) {
            report.faults.push(format!("image {}: {error}", image.name));
        }
    }
    if all.existing == Existing::Replace
        && let Err(error) = remove_undeclared(engine, declared)
    {
        report.faults.push(format!("containers that are no longer declared: {error}"));
    }
    let (ordered, circle) = in_order(declared);
    let mut labels: BTreeMap<&str, String> = BTreeMap::new();
    let mut outcomes: Vec<(&ContainerSpec, Result<(), Fault>)> = Vec::new();
    for spec in ordered {
        let outcome = bring_up(engine, spec, all, &labels, (var, again));
        let started = outcome.map(|label| drop(labels.insert(&spec.name, label)));
        outcomes.push((spec, started));
    }
    outcomes.extend(
        circle.into_iter().map(|spec| (spec, Err(Fault::Circle(network_of(spec).unwrap_or_default().to_owned())))),
    );
    if !labels.is_empty() {
        thread::sleep(SETTLING);
    }
    for (spec, outcome) in outcomes {
        let (state, fault) = match outcome.and_then(|()| check_started(engine, spec)) {
            Ok(state) => (state, None),
            Err(fault) => (ContainerState::Failed, Some(fault.to_string())),
        };
        report
            .faults
            .extend(fault.iter().filter(|_| spec.required).map(|fault| format!("container {}: {fault}", spec.name)));
        let (name, image) = (spec.name.clone(), spec.image.clone());
        report.containers.push(ContainerStatus { name, image, required: spec.required, state, error: fault });
    }
    report
}

fn import(engine: &dyn EngineClient, image: &PreloadedImage) -> Result<(), EngineError> {
    let id_of = |name: &str| engine.image_id(name);
    if id_of(&image.name)?.as_ref() == Some(&image.image_id) {
        return Ok(());
    }
    if id_of(&image.image_id)?.is_none() {
        engine.load(Path::new(&image.archive))?;
    }
    // The archive may contain another name or no name, so the image gets its name here. If the engine computes ids in another way, the
    // image is not found by its id. Then the name in the archive has to be right.
    if id_of(&image.name)?.as_ref() != Some(&image.image_id) && id_of(&image.image_id)?.is_some() {
        engine.tag(&image.image_id, &image.name)?;
    }
    match id_of(&image.name)? {
        Some(_) => Ok(()),
        None => Err(EngineError::Answer {
            asked: format!("import of {}", image.archive),
            expected: "an image of this name",
            found: "none".to_owned(),
        }),
    }
}

fn remove_undeclared(engine: &dyn EngineClient, declared: &[ContainerSpec]) -> Result<(), EngineError> {
    let made = engine.list(Listing::Declared)?;
    let mut undeclared = made.iter().filter(|one| !declared.iter().any(|spec| spec.name == one.name));
    undeclared.try_for_each(|one| engine.remove(&one.name))
}

/// Creates the container if it does not exist as declared, and starts it. Returns its label.
fn bring_up(
    engine: &dyn EngineClient,
    spec: &ContainerSpec,
    all: &Declared,
    labels: &BTreeMap<&str, String>,
    (var, again): (&Path, bool),
) -> Result<String, Fault> {
    let network = match network_of(spec).filter(|name| all.containers.iter().any(|other| other.name == *name)) {
        None => "",
        Some(name) => labels.get(name).ok_or_else(|| Fault::NoNetwork(name.to_owned()))?,
    };
    let image_id = engine.image_id(&spec.image)?.ok_or_else(|| Fault::NoImage(spec.image.clone()))?;
    let label = label(spec, &image_id, network);
    match engine.inspect(&spec.name)? {
        Some(Container { label: Some(found), state, error, .. })
            if found == label || all.existing == Existing::Start =>
        {
            if again && found == label && error.is_none() && state == ContainerState::Exited {
                return Ok(label);
            }
        }
        Some(Container { label: None, .. }) => return Err(Fault::Foreign),
        existing => {
            make_directories(spec, var)?;
            if existing.is_some() {
                engine.remove(&spec.name)?;
            }
            engine.create(spec, &label)?;
        }
    }
    engine.start(&spec.name)?;
    Ok(label)
}

/// Digest of everything that a container is created from: its declaration, its image, and the label of the container whose network it
/// uses. The last is included because an engine ties the network to one container, not to a container name: when that container is
/// replaced, this one must be replaced too.
fn label(spec: &ContainerSpec, image_id: &str, network: &str) -> String {
    let declaration = serde_json::to_string(spec).unwrap_or_default();
    let text = [&declaration, image_id, network].join("\n");
    Sha256(sha2::Sha256::digest(text).into()).to_string()
}

/// Where this program has no permission, the engine makes what is missing.
fn make_directories(spec: &ContainerSpec, var: &Path) -> Result<(), Fault> {
    let below_var =
        spec.volumes.iter().map(|volume| &volume.source).filter(|source| Path::new(source).starts_with(var));
    below_var.filter(|source| !Path::new(source).exists()).try_for_each(|path| match fs::create_dir_all(path) {
        Err(source) if source.kind() != ErrorKind::PermissionDenied => {
            Err(Fault::Volume { path: path.clone(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    })
}

/// Checks a container that was started a moment ago. Returns its state if the state is good.
fn check_started(engine: &dyn EngineClient, spec: &ContainerSpec) -> Result<ContainerState, Fault> {
    let inspect = || engine.inspect(&spec.name)?.ok_or(Fault::Gone);
    let first = inspect()?;
    let state = check_state(&first, spec)?;
    if state == ContainerState::Running && first.restarts > 0 {
        for _ in 0..INSPECTIONS {
            thread::sleep(Duration::from_secs(1));
            let now = inspect()?;
            if now.restarts != first.restarts || check_state(&now, spec)? != state {
                return Err(Fault::Loops(now.exit_code));
            }
        }
    }
    Ok(state)
}

fn check_state(found: &Container, spec: &ContainerSpec) -> Result<ContainerState, Fault> {
    let Container { state, exit_code, error, .. } = found;
    match (state, error) {
        (ContainerState::Running, _) => Ok(state.clone()),
        (_, Some(error)) => Err(Fault::NotStarted(error.clone())),
        // A one-shot container that has finished its work.
        (ContainerState::Exited, None) if *exit_code == 0 && spec.restart != ContainerRestart::Always => {
            Ok(state.clone())
        }
        (ContainerState::Exited | ContainerState::Restarting, None) => Err(Fault::Ended(*exit_code)),
        _ => Err(Fault::NotRunning(state.clone())),
    }
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
