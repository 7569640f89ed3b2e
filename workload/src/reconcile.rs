//! From what there is to what is declared: images, then containers.

use super::order::{in_order, network_of};
use berth_contract::{
    container::{ContainerRestart, ContainerSpec, Declared},
    container_state::ContainerState,
    control::ContainerStatus,
    digest::Sha256,
    image_spec::PreloadedImage,
};
use berth_engine::{Container, EngineClient, EngineError, Listing};
use sha2::Digest;
use std::{collections::BTreeMap, fs, path::Path, thread, time::Duration};

/// A container that cannot run, with a wrong command say, ends within this time after its start.
const SETTLING: Duration = Duration::from_millis(300);
/// A container that the engine has started again by itself is looked at this often, a second apart, before it counts as running.
const LOOKS: usize = 5;

/// The result.
#[derive(Debug, Default)]
pub struct Report {
    /// Every declared container.
    pub containers: Vec<ContainerStatus>,
    /// What is wrong with required containers and with images, one sentence each.
    pub faults: Vec<String>,
}

/// Why a container is not as declared.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("image {0:?}: expected one that is preloaded or was pulled before, found none")]
    NoImage(String),
    #[error("a container of this name was made by somebody else; rename or remove it")]
    Foreign,
    #[error("waits for its own network: container:{0}")]
    Circle(String),
    #[error("needs the network of {0}, which does not run")]
    NoNetwork(String),
    #[error("cannot create {path}: {source}")]
    Volume { path: String, source: std::io::Error },
    #[error("ended with status {0}")]
    Ended(i64),
    #[error("{0}")]
    NotStarted(String),
    #[error("ends again and again, last with status {0}")]
    Loops(i64),
    #[error("is {0} after its start")]
    NotRunning(ContainerState),
    #[error("is gone after its start")]
    Gone,
}

/// Imports images that are missing, makes containers that are new or have changed, removes those that are no longer declared, and starts
/// the rest. Where not all that is declared is known, the containers that there are stay as they were made. Host directories of volumes
/// are made below `var`. The failure of one container does not stop the others.
pub fn reconcile(engine: &dyn EngineClient, images: &[PreloadedImage], all: &Declared, var: &Path) -> Report {
    let declared = &all.containers[..];
    let mut report = Report::default();
    for image in images {
        if let Err(error) = import(engine, image) {
            report.faults.push(format!("image {}: {error}", image.name));
        }
    }
    if !all.is_partial
        && let Err(error) = remove_undeclared(engine, declared)
    {
        report.faults.push(format!("containers that are no longer declared: {error}"));
    }
    let (ordered, circle) = in_order(declared);
    let mut labels: BTreeMap<&str, String> = BTreeMap::new();
    let mut outcomes: Vec<(&ContainerSpec, Result<(), Fault>)> = Vec::new();
    for spec in ordered {
        let outcome = bring_up(engine, spec, all, &labels, var);
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
        let (state, fault) = match outcome.and_then(|()| settled(engine, spec)) {
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
    let is = |name: &str| engine.image_id(name);
    if is(&image.name)?.as_ref() == Some(&image.image_id) {
        return Ok(());
    }
    if is(&image.image_id)?.is_none() {
        engine.load(Path::new(&image.archive))?;
    }
    // An archive may carry another name, or none. An engine may make ids in another way: then the name in the archive is used.
    if is(&image.name)?.as_ref() != Some(&image.image_id) && is(&image.image_id)?.is_some() {
        engine.tag(&image.image_id, &image.name)?;
    }
    match is(&image.name)? {
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

/// Makes the container as it is declared, and starts it. Returns its label.
fn bring_up(
    engine: &dyn EngineClient,
    spec: &ContainerSpec,
    all: &Declared,
    labels: &BTreeMap<&str, String>,
    var: &Path,
) -> Result<String, Fault> {
    let network = match network_of(spec).filter(|name| all.containers.iter().any(|other| other.name == *name)) {
        None => "",
        Some(name) => labels.get(name).ok_or_else(|| Fault::NoNetwork(name.to_owned()))?,
    };
    let image_id = engine.image_id(&spec.image)?.ok_or_else(|| Fault::NoImage(spec.image.clone()))?;
    let label = label(spec, &image_id, network);
    match engine.inspect(&spec.name)? {
        Some(Container { label: Some(found), .. }) if found == label || all.is_partial => {}
        Some(Container { label: None, .. }) => return Err(Fault::Foreign),
        existing => {
            if existing.is_some() {
                engine.remove(&spec.name)?;
            }
            make_directories(spec, var)?;
            engine.create(spec, &label)?;
        }
    }
    engine.start(&spec.name)?;
    Ok(label)
}

/// Digest of everything that a container is made from: its declaration, its image, and the label of the container whose network it uses,
/// because an engine ties the network to that container and not to its name.
fn label(spec: &ContainerSpec, image_id: &str, network: &str) -> String {
    let declaration = serde_json::to_string(spec).unwrap_or_default();
    let text = [&declaration, image_id, network].join("\n");
    Sha256(sha2::Sha256::digest(text).into()).to_string()
}

fn make_directories(spec: &ContainerSpec, var: &Path) -> Result<(), Fault> {
    let below_var =
        spec.volumes.iter().map(|volume| &volume.source).filter(|source| Path::new(source).starts_with(var));
    below_var
        .filter(|source| !Path::new(source).exists())
        .try_for_each(|path| fs::create_dir_all(path).map_err(|source| Fault::Volume { path: path.clone(), source }))
}

/// The state of a container that was started a moment ago, if the state is a good one.
fn settled(engine: &dyn EngineClient, spec: &ContainerSpec) -> Result<ContainerState, Fault> {
    let inspect = || engine.inspect(&spec.name)?.ok_or(Fault::Gone);
    let first = inspect()?;
    let state = judged(&first, spec)?;
    if state == ContainerState::Running && first.restarts > 0 {
        for _ in 0..LOOKS {
            thread::sleep(Duration::from_secs(1));
            let now = inspect()?;
            if now.restarts != first.restarts || judged(&now, spec)? != state {
                return Err(Fault::Loops(now.exit_code));
            }
        }
    }
    Ok(state)
}

fn judged(found: &Container, spec: &ContainerSpec) -> Result<ContainerState, Fault> {
    let Container { state, exit_code, error, .. } = found;
    match (state, error) {
        (ContainerState::Running, _) => Ok(state.clone()),
        (_, Some(error)) => Err(Fault::NotStarted(error.clone())),
        // It has done what it was started for.
        (ContainerState::Exited, None) if *exit_code == 0 && spec.restart != ContainerRestart::Always => {
            Ok(state.clone())
        }
        (ContainerState::Exited | ContainerState::Restarting, None) => Err(Fault::Ended(*exit_code)),
        _ => Err(Fault::NotRunning(state.clone())),
    }
}
