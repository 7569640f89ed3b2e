use super::*;

fn all(package: &str, preinst: &str, postinst: &str, triggers: &str) -> Covered {
    let mut files = PackageFiles::default();
    let shipped = [
        ("etc", FileKind::Directory),
        ("etc/there", FileKind::File),
        ("usr/bin/tool", FileKind::File),
        ("usr/share/t/t.conf", FileKind::File),
    ];
    files.add(package, shipped.into_iter());
    files.add("other", std::iter::once(("usr/share/other/file", FileKind::File)));
    let answers = BTreeMap::from([("t/yes".to_owned(), "true".to_owned())]);
    cover(package, Scripts { preinst, postinst, triggers, answers: &answers }, &files)
}

fn postinst(package: &str, text: &str) -> Result<Vec<Effect>, Vec<String>> {
    let script = format!("#!/bin/sh\nset -e\n{text}\nexit 0\n");
    let covered = all(package, "", &script, "");
    match covered.uncovered.into_iter().next() {
        None => Ok(covered.effects),
        Some(uncovered) => Err(uncovered.lines.into_iter().map(|(_, text)| text).collect()),
    }
}

/// The lines that are left of a script that has no reviewed row.
fn left(text: &str) -> Vec<String> {
    postinst("unheard-of", text).err().unwrap_or_default()
}

/// From docker.io 26.1.5 of Debian 13, shortened: the package's own lines, and one block of each debhelper tool.
const DOCKER: &str = r#"
case "$1" in
    configure)
        if [ -z "$2" ]; then
            # Make sure the "docker" system group exists for "docker.socket"
            if ! getent group docker >/dev/null 2>&1 ; then
                addgroup --system docker
            fi
        fi
        if dpkg --compare-versions "$2" le-nl '1.11.2~ds1-1'; then
            if [ "$(stat -c '%a' /etc/docker)" = '700' ]; then
                chmod 0755 /etc/docker
            fi
        fi
        ;;
    abort-*)
        # How'd we get here??
        exit 1
        ;;
    *)
        ;;
esac

# Automatically added by dh_apparmor/4.1.0-1
if [ "$1" = "configure" ]; then
    APP_PROFILE="/etc/apparmor.d/docker.io"
    if [ -f "$APP_PROFILE" ]; then
        install --mode 644 /dev/null "$LOCAL_APP_PROFILE"
    fi
fi
# End automatically added section
# Automatically added by dh_installsystemd/13.24.2
if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ] ; then
	deb-systemd-helper unmask 'docker.service' >/dev/null || true
	if deb-systemd-helper --quiet was-enabled 'docker.service'; then
		deb-systemd-helper enable 'docker.service' >/dev/null || true
	fi
fi
# End automatically added section
"#;

/// From iptables 1.8.11 of Debian 13, shortened.
const IPTABLES: &str = r"
if [ $1 = configure ] || [ $1 = abort-upgrade ]; then
	update-alternatives \
	  --install /usr/sbin/iptables iptables /usr/sbin/iptables-legacy 10 \
	  --slave /usr/sbin/iptables-save iptables-save /usr/sbin/iptables-legacy-save
        update-alternatives \
          --install /usr/sbin/iptables iptables /usr/sbin/iptables-nft 20 \
          --slave /usr/sbin/iptables-save iptables-save /usr/sbin/iptables-nft-save
fi
";

#[test]
fn scripts_of_real_packages_give_known_effects() {
    assert_eq!(postinst("docker.io", DOCKER), Ok(vec![Effect::Sysusers("g docker - -".to_owned())]));
    let alternatives = postinst("iptables", &IPTABLES.replace("$1", "\"$1\"")).unwrap();
    assert_eq!(alternatives.len(), 2);
    assert!(alternatives.iter().all(|effect| matches!(effect, Effect::Alternative(_))));
    assert_eq!(postinst("x", ""), Ok(vec![]));
    assert_eq!(all("x", "", "", ""), Covered::default());
}

/// The only script that is not covered.
fn one(covered: Covered) -> Uncovered {
    let [uncovered] = <[Uncovered; 1]>::try_from(covered.uncovered).unwrap();
    uncovered
}

/// From login.defs, netbase and linux-image of Debian 13.
#[test]
fn reviewed_scripts_are_found_by_the_digest_of_the_lines_that_are_left() {
    let kernel = |version: &str, more: &str| {
        format!(
            "version={version}\nimage_path=/boot/vmlinuz-$version\nif [ \"$1\" != configure ]; then\n    exit 0\nfi\n\
             depmod $version\nif [ -f /lib/modules/$version/.fresh-install ]; then\n    change=install\nelse\n    change=upgrade\nfi\n\
             linux-update-symlinks $change $version $image_path\nrm -f /lib/modules/$version/.fresh-install\n{more}\
             linux-run-hooks image postinst $version $image_path -- \"$@\"\n"
        )
    };
    for version in ["6.12.107+deb13-cloud-amd64", "7.1.3+deb14-rt-amd64"] {
        assert_eq!(postinst(&format!("linux-image-{version}"), &kernel(version, "")), Ok(vec![]), "{version}");
    }
    let script = format!("#!/bin/sh -e\n{}", kernel("6.12.1-amd64", "unheard-of /etc/new\n"));
    let uncovered = one(all("linux-image-6.12.1-amd64", "", &script, ""));
    assert!(uncovered.script == "postinst" && uncovered.digest.len() == 64);
    assert_eq!(uncovered.lines, [(15, "unheard-of /etc/new".to_owned())]);
    let script = "#!/bin/sh\nsystemd-tmpfiles --create || true\nmystery\n";
    assert!(one(all("tzdata", "", script, "")).changed, "another version of the script was reviewed");
}

#[test]
fn lines_in_branches_that_are_not_taken_are_removed() {
    for text in [
        "if [ -n \"$2\" ]; then\n  rm -rf /etc/x\nfi",
        "if [ \"$1\" = configure ] && [ -n \"$2\" ]; then rm /etc/there; fi",
        "case \"$1\" in\n  triggered|upgrade)\n    rm /etc/there\n  ;;\n  *)\n  ;;\nesac",
        "case \"$1\" in configure) ;;\n *) rm /etc/there ;;\nesac",
        "if dpkg --compare-versions \"$2\" lt-nl 1.0~; then\n  if [ -f /x ]; then\n    mystery\n  fi\nfi",
        "if [ -d /run/systemd/system ]; then\n  mystery\nelse\n  systemctl reload x || true\nfi",
        "unused() {\n  mystery\n}",
        "A=b\nif [ -x /usr/bin/y ]; then\n  ldconfig\nelif [ -x /z ]; then\n  :\nfi",
        "quiet() {\n  echo hello\n}\nquiet \"$@\" || true",
        "if [ -e /etc/nowhere ]; then\n  mystery\nfi",
        "[ -x /usr/bin/nowhere ] || exit 0\nmystery",
        "if ! command -v tool >/dev/null; then\n  mystery\nfi",
        "if [ \"$1\" = upgrade ] || { [ \"$1\" = x ] && [ -e /y ]; }; then mystery; fi",
        "shift\nif [ \"$1\" = configure ]; then\n  mystery\nfi",
        "f() {\n  if [ \"$2\" = no ]; then\n    mystery\n  fi\n}\nf a b",
        ". /usr/share/debconf/confmodule\ndb_get t/yes\nif [ \"$RET\" = false ]; then\n  mystery\nfi",
        "rm -f /etc/x.old /var/lib/y\nrmdir --ignore-fail-on-non-empty /var/z || true",
        "(\n  test -f /etc/nowhere && . /etc/nowhere\n)",
        "for x in a b; do\n  if [ -e /etc/$x ]; then\n    mystery\n  fi\ndone",
        "cd /var/empty\nfor x in *; do\n  [ \"$x\" = \"*\" ] && continue\n  mystery $x\ndone",
        "for x in /etc/hooks/*.hook; do\n  [ -x $x ] || continue\n  $x || mystery\ndone",
        "cat <<EOF >&2\n$mystery\nEOF",
        "x=$(stat -c %a /etc | cut -c1)\necho \"$x\"",
        "grep -q x /etc/there || echo no",
        "if systemctl is-active --quiet x; then\n  mystery\nfi",
    ] {
        assert_eq!(left(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn lines_without_a_known_effect_are_left() {
    for (text, lines) in [
        ("rm -rf /etc/there", vec!["rm -rf /etc/there"]),
        ("if [ -z \"$2\" ]; then\n  mystery /x\nfi", vec!["mystery /x"]),
        ("if [ \"$1\" = \"configure\" ]; then\n  a\nelse\n  b\nfi", vec!["a"]),
        ("if [ -f /proc/y ]; then\n  touch /x\nfi", vec!["if [ -f /proc/y ]; then", "touch /x", "fi"]),
        ("if modify /x; then\n  :\nfi", vec!["if modify /x; then", "fi"]),
        ("do_it() {\n  mystery /x\n}\ndo_it", vec!["mystery /x", "do_it"]),
        ("case \"$1\" in\n  con*)\n    mystery /x\n  ;;\nesac", vec!["mystery /x"]),
        (
            "case \"$mode\" in\n  a)\n    touch /x\n  ;;\n  b) ;;\nesac",
            vec!["case \"$mode\" in", "a)", "touch /x", "esac"],
        ),
        ("for x in a b; do\n  mystery /$x\ndone", vec!["for x in a b; do", "mystery /$x", "done"]),
        // The loop may not run.
        ("for x in $y; do\n  touch /$x\ndone", vec!["for x in $y; do", "touch /$x", "done"]),
        // The script may have ended before.
        ("[ -e /proc/x ] && exit 0\ntouch /x", vec!["touch /x"]),
        // The value of a variable that a branch may have set is not known.
        ("A=/x\nif [ -e /proc/x ]; then\n  A=/y\nfi\ntouch $A", vec!["A=/x", "A=/y", "touch $A"]),
        // The image must not get the effect of a command that may not run.
        (
            "if [ \"$RET\" = true ]; then\n  addgroup --system x\nfi",
            vec!["if [ \"$RET\" = true ]; then", "addgroup --system x", "fi"],
        ),
        // Another user or group with the same name is not this account.
        ("addgroup --system x\ngetent passwd x || mystery", vec!["getent passwd x || mystery"]),
        // A file that a command needs is not there: the script would fail.
        ("chmod 4755 /usr/bin/other", vec!["chmod 4755 /usr/bin/other"]),
        // Blocks of unknown debhelper tools are parsed like the rest of the script.
        ("# Automatically added by dh_mystery/1\nmystery\n# End automatically added section", vec!["mystery"]),
        // A block without an end hides no lines.
        ("# Automatically added by dh_makeshlibs/1\nldconfig\nmystery", vec!["mystery"]),
        // A script whose structure cannot be parsed is left completely.
        (
            "if true\nthen touch /x; fi && (\nldconfig )",
            vec!["set -e", "if true; then", "touch /x", "fi && (", "ldconfig )", "exit 0"],
        ),
        // It is not known whether the script comes here, and not known what the variable is then.
        (
            "[ -e /proc/x ] || exit 0\nmode=old\ngrep -q n /etc/f && mode=new\n[ \"$mode\" = old ] && rm -f /etc/there",
            vec!["mode=old", "grep -q n /etc/f && mode=new", "[ \"$mode\" = old ] && rm -f /etc/there"],
        ),
        (
            "[ -e /proc/x ] || exit 0\nif grep -q n /etc/f; then\n  mode=new\nfi\n[ \"$mode\" = old ] && mystery",
            vec!["mode=new", "[ \"$mode\" = old ] && mystery"],
        ),
        // A loop may end before its last round.
        (
            "for f in a b; do\n  touch /etc/$f\n  [ -e /proc/x ] && break\ndone",
            vec!["for f in a b; do", "touch /etc/$f", "done"],
        ),
        (": > /etc/there", vec![": > /etc/there"]),
        ("touch /etc/x\n: > /etc/x", vec![": > /etc/x"]),
        // The answer is no longer that of the template.
        (
            "db_set t/yes false\ndb_get t/yes\nif [ \"$RET\" = false ]; then\n  mystery\nfi",
            vec!["if [ \"$RET\" = false ]; then", "mystery", "fi"],
        ),
        ("ldconfig && mystery", vec!["ldconfig && mystery"]),
        ("echo $x > /etc/y", vec!["echo $x > /etc/y"]),
        ("exit 1", vec!["exit 1"]),
    ] {
        assert_eq!(left(text), lines, "{text}");
    }
}

/// The effects of a script, one a line. Changes of files are shown as commands.
fn effects(text: &str) -> Result<String, Vec<String>> {
    let show = |effect: &Effect| match effect {
        Effect::Sysusers(line) | Effect::Tmpfiles(line) => line.clone(),
        Effect::Change(change) => change.to_string(),
        other => format!("{other:?}"),
    };
    postinst("t", text).map(|effects| effects.iter().map(show).collect::<Vec<_>>().join("\n"))
}

/// Forms that packages of Debian 13 use.
#[test]
fn the_forms_of_maintainer_scripts_give_their_effects() {
    for (form, text, wanted) in [
        (
            "bird3",
            "dpkg-statoverride --list /etc > /dev/null || dpkg-statoverride --update --add bird bird 0750 /etc\n\
             ucf /usr/share/t/t.conf /etc/t.conf\nucfr -f t /etc/t.conf",
            "chown bird:bird /etc\nchmod /etc\ncp /usr/share/t/t.conf /etc/t.conf",
        ),
        (
            "openssh-client",
            "action=\"$1\"\nset_mode() {\n  if ! getent group _ssh >/dev/null; then\n    addgroup --system --quiet _ssh\n  fi\n\
             if ! dpkg-statoverride --list /usr/bin/tool >/dev/null; then\n    chgrp _ssh /usr/bin/tool\n    chmod 2755 /usr/bin/tool\n\
             fi\n}\nif [ \"$action\" = configure ]; then\n  set_mode\nfi",
            "g _ssh - -\nchown :_ssh /usr/bin/tool\nchmod /usr/bin/tool",
        ),
        (
            "lldpd",
            "for i in /usr/bin/tool; do\n  if ! dpkg-statoverride --list $i > /dev/null 2>&1; then\n\
             dpkg-statoverride --update --add root adm 4750 $i\n  fi\ndone",
            "chown root:adm /usr/bin/tool\nchmod /usr/bin/tool",
        ),
        (
            "frr",
            "for GROUP in frr frrvty\ndo\n  if ! getent group \"${GROUP}\" > /dev/null 2>&1\n  then\n    groupadd --system \"${GROUP}\"\n\
             fi\ndone\nif ! getent passwd frr >/dev/null\nthen\n  useradd --system -g frr --home-dir /nonexistent --no-create-home frr\nfi\n\
             usermod -G frrvty frr\nmkdir -p /var/lib/frr\nchown frr:frr /var/lib/frr",
            "g frr - -\ng frrvty - -\nu frr -:frr - \"/nonexistent\" -\nm frr frrvty\nmkdir -m 0755 /var/lib/frr\nchown frr:frr /var/lib/frr",
        ),
        (
            "dnsmasq-base",
            "if [ -z \"`id -u d 2> /dev/null`\" ]; then\n  useradd --system --gid nogroup --comment d d\nfi\n\
             if [ ! -d /run/d ]; then\n  mkdir /run/d\n  chown d:nogroup /run/d\nfi",
            "u d -:nogroup \"d\" - -\nmkdir -m 0755 /run/d\nchown d:nogroup /run/d",
        ),
        (
            "fail2ban",
            "LOG=/var/log/t.log\ntouch $LOG\nchown root:adm ${LOG}* || true\nchmod 640 ${LOG}* || true",
            "touch /var/log/t.log\nchown root:adm /var/log/t.log\nchmod /var/log/t.log",
        ),
        (
            "dh_apparmor",
            "APP_PROFILE=\"/etc/there\"\nif [ -f \"$APP_PROFILE\" ]; then\n  LOCAL=\"/etc/local/t\"\n  test -e \"$LOCAL\" || {\n\
             mkdir -p `dirname \"$LOCAL\"`\n    install --mode 644 /dev/null \"$LOCAL\"\n  }\n  if aa-enabled --quiet 2>/dev/null; then\n\
             apparmor_parser -r -T -W \"$APP_PROFILE\" || true\n  fi\nfi",
            "mkdir -m 0755 /etc/local\ntouch /etc/local/t\nchmod /etc/local/t",
        ),
        (
            "rpcbind",
            "id -u _rpc >/dev/null 2>&1 || adduser --allow-bad-names --system --stdoutmsglevel=warn --home /run/r --no-create-home _rpc",
            "u _rpc - - \"/run/r\" -",
        ),
        (
            "apparmor",
            "tmp=`mktemp`\ncat > \"$tmp\" <<EOM\n# a / and $ sudo\nEOM\nmv -Z -f \"$tmp\" /etc/new\nchmod 644 /etc/new",
            "touch /tmp/t.1\nwrite /tmp/t.1\nmv /tmp/t.1 /etc/new\nchmod /etc/new",
        ),
        (
            "netbase",
            "hosts() {\n  cat > /etc/hosts <<-EOF\n\tx\n\tEOF\n}\n[ -e /etc/hosts ] || hosts",
            "write /etc/hosts",
        ),
        ("libpam-modules", "umask 066\nmkdir /etc/a\numask 022", "mkdir -m 0711 /etc/a"),
        ("bash", "if [ ! -e /bin/shell ]; then\n  ln -s bash /bin/shell\nfi", "ln -s bash /bin/shell"),
        (
            "iputils-ping",
            "if setcap cap_net_raw+ep /bin/tool; then\n  chmod u-s /bin/tool\nelse\n  mystery\nfi",
            "setcap /bin/tool\nchmod /bin/tool",
        ),
        (
            "a return in a loop",
            "f() {\n  for f in /etc/x /etc/y; do\n    if [ ! -e $f ]; then\n      touch $f\n      return\n    fi\n  done\n}\nf",
            "touch /etc/x",
        ),
        ("libvirt", "if ! systemctl is-active --quiet x; then\n  touch /etc/x\nfi", "touch /etc/x"),
        (
            "a subshell",
            "(\n  cd /etc\n  umask 077\n)\nmkdir /var/new\nfor x in the*; do\n  touch /var/$x\ndone",
            "mkdir -m 0755 /var/new\ntouch /var/the*",
        ),
        ("a home that is there", "adduser --system --home /etc u", "u u - - \"/etc\" -"),
        ("a new file", ": > /etc/new\n: >> /etc/there", "touch /etc/new"),
        ("debconf", "db_get t/yes\nif [ \"$RET\" = true ]; then\n  adduser --quiet a adm || true\nfi", "m a adm"),
    ] {
        assert_eq!(effects(text).as_deref(), Ok(wanted), "{form}");
    }
}

/// From libext2fs2t64 and firmware-realtek: the diversion of a moved file lasts from preinst to postinst.
#[test]
fn a_loop_of_diversions_for_merged_usr_is_understood() {
    let loop_of = |option: &str| {
        format!(
            "#!/bin/sh\nif test \"$1\" = install -o \"$1\" = configure; then\nfor f in a.so.1 a.so.1.2; do\n  dpkg-divert --package t \\\n\
             --no-rename --divert \"/lib/$f.usr-is-merged\" --{option} \"/lib/$f\"\ndone\nfi\n"
        )
    };
    let covered = all("t", &loop_of("add"), &loop_of("remove"), "");
    assert!(covered.uncovered.is_empty(), "{:?}", covered.uncovered);
    let paths = covered.effects.iter().map(|effect| match effect {
        Effect::Divert { from, .. } => format!("add {}", String::from_utf8_lossy(from)),
        Effect::EndDiversion { from } => format!("remove {}", String::from_utf8_lossy(from)),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        paths.collect::<Vec<_>>(),
        ["add lib/a.so.1", "add lib/a.so.1.2", "remove lib/a.so.1", "remove lib/a.so.1.2"]
    );
}

/// Five loops in each other have a thousand million rounds.
#[test]
fn a_script_with_too_many_steps_is_not_covered() {
    let values = (0..64).map(|value| format!("v{value}")).collect::<Vec<_>>().join(" ");
    let heads: String = (0..5).map(|loop_of| format!("for a{loop_of} in {values}; do\n")).collect();
    assert!(left(&format!("{heads}true\n{}", "done\n".repeat(5))).len() > 10);
}

/// A package may have any bytes as its script.
#[test]
fn a_script_may_end_anywhere() {
    let quotes = "x=\"$(a 'b' \"c\" | d `e` ${f:-'g'})\"\ncat > /etc/z <<-'E'\n\tz\nE\ncase $1 in a|b*) c ;; *) { d; } ;; esac\n";
    for text in [DOCKER, IPTABLES, quotes] {
        for (end, _) in text.char_indices() {
            let _ = all("t", "", &format!("#!/bin/sh\n{}", &text[..end]), &text[..end]);
            let _ = all("t", &format!("#!/bin/sh\n{}", &text[end..]), "", "");
        }
    }
}

/// A preinst runs before the files of its package are there.
#[test]
fn a_preinst_does_not_find_the_files_of_its_package() {
    let script = "#!/bin/sh\nif [ -e /etc/there ]; then\n  mystery\nfi\n[ -e /usr/share/other/file ] || mystery\n";
    assert_eq!(all("t", script, "", ""), Covered::default());
    assert_eq!(one(all("t", "", script, "")).lines[0].1, "mystery");
}

#[test]
fn other_programs_and_unknown_triggers_are_not_covered() {
    assert_eq!(one(all("bash", "\u{7f}ELF", "", "")).lines[0].1, "this is not a shell script; it has 4 bytes");
    assert_eq!(one(all("x", "", "#!/usr/bin/python3\n", "")).script, "postinst");
    let triggers = |text| all("x", "", "", text);
    assert_eq!(triggers("activate-noawait anything\n# interest x\ninterest-noawait ldconfig\n"), Covered::default());
    assert_eq!(triggers("interest-noawait /usr/share/t\n"), Covered::default(), "no other package ships a file there");
    let uncovered = one(triggers("interest ldconfig\ninterest-await /usr/share/other\ninterest mystery\n"));
    assert_eq!(
        (uncovered.script, uncovered.lines),
        ("triggers", vec![(2, "interest-await /usr/share/other".into()), (3, "interest mystery".into())])
    );
}

#[test]
fn digests_do_not_depend_on_version_numbers() {
    for (word, without) in [
        ("version=6.12.107+deb13-cloud-amd64", "version=#"),
        ("\"$2\"", "\"$2\""),
        ("2.41;", "#;"),
        ("0755", "0755"),
        ("python3.13", "python#"),
        ("257", "257"),
    ] {
        assert_eq!(without_version(word), without, "{word}");
    }
}
