use crate::assemble::scripts::{Effect, FileKind, PackageFiles, Scripts, cover};
use std::collections::BTreeMap;

/// The lines of a postinst that are left. Empty if the script is covered.
fn left(text: &str) -> Vec<String> {
    let script = format!("#!/bin/sh\nset -e\n{text}\n");
    let scripts = Scripts { preinst: "", postinst: &script, triggers: "", answers: &BTreeMap::new() };
    let uncovered = cover("unheard-of", scripts, &PackageFiles::default()).uncovered;
    uncovered.into_iter().flat_map(|one| one.lines).map(|(_, line)| line).collect()
}

/// `test -e /dev/x` is true on some hosts.
#[test]
fn a_value_is_not_known_if_the_function_or_round_may_have_ended_before() {
    let all = |middle: &str| format!("D=/etc/a\n{middle}\nmkdir -p $D");
    for middle in [
        "f() {\n[ -e /dev/x ] && return 0\nD=/etc/b\n}\nf",
        "f() {\nif [ -e /dev/x ]; then\nD=/etc/c\nreturn 0\nfi\nD=/etc/b\nreturn 0\n}\nf",
        "f() {\nfor i in 1 2; do\nif [ -e /dev/$i ]; then\nreturn 0\nfi\ndone\nD=/etc/b\n}\nf",
        "for i in 1 2; do\n[ -e /dev/x ] && break\nD=/etc/b\ndone",
        "for i in 1 2; do\nif [ -e /dev/x ]; then\ncontinue\nfi\nD=/etc/b\ndone",
        "for i in 1 2; do\nD=/etc/$i\n[ -e /dev/x ] && break\ndone",
    ] {
        assert!(left(&all(middle)).contains(&"mkdir -p $D".to_owned()), "{middle}");
    }
    for middle in [
        "f() {\nif [ ! -e /nowhere ]; then\nD=/etc/b\nreturn 0\nfi\nD=/etc/c\n}\nf",
        "f() {\n[ -e /dev/x ] && return 0\nE=/etc/b\n}\nf",
        "for i in 1 2; do\nD=/etc/$i\n[ -e /nowhere ] && break\ndone",
        "D=/etc/b\nfor i in 1 2; do\n[ -e /dev/x ] && continue\nE=$i\ndone",
    ] {
        assert_eq!(left(&all(middle)), Vec::<String>::new(), "{middle}");
    }
    // The loop's variable is known in each round, the values of the round before it are not.
    assert_eq!(left("for i in 1 2; do\nmkdir -p /etc/$i\ndone\nmkdir -p /etc/$i.d"), Vec::<String>::new());
}

/// `break 2` ends the outer loop too.
#[test]
fn what_follows_an_end_of_several_loops_is_not_certain() {
    let all = |end: &str| {
        format!("for i in 1 2; do\nfor j in 1 2; do\n{end}\ndone\nmkdir -p /etc/$i\ndone\ntouch /etc/hostname")
    };
    for end in ["break 2", "continue 2", "break $n", "[ -e /dev/x ] && break 2"] {
        let left = left(&all(end));
        for line in [end, "mkdir -p /etc/$i", "touch /etc/hostname"] {
            assert!(left.contains(&line.to_owned()), "{end}: {line}: {left:?}");
        }
    }
    for end in ["break", "continue 1"] {
        assert_eq!(left(&all(end)), Vec::<String>::new(), "{end}");
    }
}

#[test]
fn a_folder_that_may_be_the_working_folder_is_not_known() {
    let all = |line: &str| format!("mkdir -p /run/a\ntouch /run/a/f\n{line}\nfor f in *; do\nmkdir -p /etc/$f\ndone");
    assert_eq!(left(&all("cd /run\ncd a")), Vec::<String>::new());
    for line in ["[ -e /dev/x ] && cd /run/a", "cd $HOME", "cd /run/a\ncd -", "cd /run/a/../a"] {
        assert!(left(&all(line)).contains(&"mkdir -p /etc/$f".to_owned()), "{line}");
    }
}

/// The preinst of linux-image of Debian 13's backports: linux-modules has the same folder.
#[test]
fn a_folder_of_several_packages_is_not_made_again() {
    let mut files = PackageFiles::default();
    for package in ["linux-image", "linux-modules"] {
        files.add(package, std::iter::once(("usr/lib/modules/7", FileKind::Directory)));
    }
    let preinst = "#!/bin/sh -e\nmkdir -p /lib/modules/7\ntouch /lib/modules/7/.fresh-install\n";
    let postinst = "#!/bin/sh -e\nrm -f /lib/modules/7/.fresh-install\n";
    let answers = BTreeMap::new();
    let covered = cover("linux-image", Scripts { preinst, postinst, triggers: "", answers: &answers }, &files);
    assert_eq!(covered.uncovered, vec![]);
    let changes = covered.effects.iter().map(|effect| match effect {
        Effect::Change(change) => change.to_string(),
        other => panic!("{other:?}"),
    });
    let file = "/lib/modules/7/.fresh-install";
    assert_eq!(changes.collect::<Vec<_>>(), [format!("touch {file}"), format!("rm {file}")]);
    for line in ["mkdir /lib/modules/7", "mkdir -p -m 700 /lib/modules/7"] {
        let preinst = format!("#!/bin/sh -e\n{line}\n");
        let scripts = Scripts { preinst: &preinst, postinst: "", triggers: "", answers: &answers };
        assert_eq!(cover("linux-image", scripts, &files).uncovered.len(), 1, "{line}");
    }
}
