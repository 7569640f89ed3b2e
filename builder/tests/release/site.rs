//! A folder with keys and a repository for releases. The reference client of TUF (python-tuf) checks the repository.
use crate::{
    assemble_kit::tool,
    build_kit::{Small, done, talk},
};
use std::{
    cell::RefCell,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A folder with a small build in `out` and keys in `keys`. The repository `repo` does not exist yet.
pub(crate) struct Site {
    pub(crate) small: Small,
    client: RefCell<Client>,
}

/// A process of python-tuf. It starts only once for each test, because its start takes longer than its answers.
struct Client {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    fn start(folder: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/release/client.py");
        let mut command = berth_judge::tuf::python(&script);
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, questions, answers }
    }

    fn ask(&mut self, question: &serde_json::Value) -> serde_json::Value {
        writeln!(self.questions, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer}: {error}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Kill the process instead of waiting for its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) const NAME: &str = "small_1_x86_64";

impl Site {
    /// Builds version 1 in `out`. Makes two root keys, which must both sign, and one key for each other role.
    pub(crate) fn new() -> Self {
        let small = Small::new();
        let client = RefCell::new(Client::start(small.dir.path()));
        let site = Self { small, client };
        site.build("1", "out");
        site.good(&["keys", "new", "keys", "--root-keys", "2", "--threshold", "2"]);
        site.copy("keys/root.json", "first.json");
        site
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.small.path(path)
    }

    pub(crate) fn build(&self, version: &str, output: &str) {
        done(self.small.build(output, "cache").args(["--version", version]));
    }

    pub(crate) fn berth(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/berth"));
        command.env_clear().args(arguments).current_dir(self.small.dir.path());
        command
    }

    /// Runs `berth`, which must succeed. Returns its stdout.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        String::from_utf8(done(&mut self.berth(arguments)).stdout).unwrap()
    }

    /// Runs `berth`, which must succeed. Returns its stderr.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        talk(&done(&mut self.berth(arguments)))
    }

    /// Runs `berth`, which must fail. Returns its stderr.
    pub(crate) fn bad(&self, arguments: &[&str]) -> String {
        let output = self.berth(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", talk(&output));
        talk(&output)
    }

    /// The arguments for `berth release` of the build `out`, with the arguments `more`.
    pub(crate) fn release<'a>(&self, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["release", out, "--repo", "repo", "--keys", "keys", "--level", "1"], more].concat()
    }

    /// Runs `berth release`, which must succeed.
    pub(crate) fn released(&self, out: &str) {
        self.good(&self.release(out, &[]));
    }

    /// The reference client fetches `target` from `repo`. It trusts the first version of `keys/root.json`, and keeps its metadata in the
    /// folder `state`. Returns the target's metadata, or the reason why the client refuses the target.
    pub(crate) fn client(&self, repo: &str, state: &str, target: &str) -> Result<serde_json::Value, String> {
        let answer = self.client.borrow_mut().ask(&serde_json::json!(["first.json", repo, state, target, "target"]));
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(answer),
        }
    }

    /// Runs publisher.py with python-tuf: it fills the list of releases up to about so many bytes, removes the named targets, and signs the
    /// list. The first argument is the number of bytes, the others are the names.
    pub(crate) fn publishes(&self, bytes_and_less: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/release/publisher.py");
        let mut command = berth_judge::tuf::python(&script);
        command.args(["repo", "keys"]).args(bytes_and_less);
        done(command.current_dir(self.small.dir.path()));
    }

    /// The reference client must accept `target`. Returns the target's metadata.
    pub(crate) fn gets(&self, repo: &str, state: &str, target: &str) -> serde_json::Value {
        self.client(repo, state, target).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The reference client must refuse `target` with a reason that contains `why`.
    pub(crate) fn refuses(&self, repo: &str, state: &str, target: &str, why: &str) {
        let error = self.client(repo, state, target).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    /// The only file in `folder` whose name has this ending.
    pub(crate) fn file(&self, folder: &str, ending: &str) -> PathBuf {
        let names = std::fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        let found: Vec<_> = names.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
        assert_eq!(found.len(), 1, "{folder} *{ending}: {found:?}");
        found[0].clone()
    }

    /// Removes the key of `role` in `folder`.
    pub(crate) fn lose(&self, folder: &str, role: &str) {
        let paths = std::fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        let lost = |path: &PathBuf| path.to_str().unwrap().contains(&format!("/{role}-"));
        std::fs::remove_file(paths.into_iter().find(lost).unwrap()).unwrap();
    }

    /// Names and digests of all files below `folder`.
    pub(crate) fn state(&self, folder: &str) -> String {
        tool("sh", &["-c", &format!("cd {} && find . -type f | sort | xargs sha256sum", self.path(folder).display())])
    }

    pub(crate) fn copy(&self, from: &str, to: &str) {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        tool("rm", &["-rf", &path(to)]);
        tool("cp", &["-a", &path(from), &path(to)]);
    }
}

/// Flips the lowest bit in the middle of a file.
pub(crate) fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
