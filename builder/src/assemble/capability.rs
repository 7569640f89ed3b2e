//! File capabilities: the text form of cap_from_text(3), and the value of the attribute `security.capability`,
//! `struct vfs_cap_data` of linux/capability.h, revision 2.

/// The name of the attribute.
pub const XATTR: &[u8] = b"security.capability";
/// `VFS_CAP_REVISION_2`.
const REVISION_2: u32 = 0x0200_0000;
/// `VFS_CAP_FLAGS_EFFECTIVE`.
const EFFECTIVE: u32 = 1;

/// Names in the order of their numbers, capabilities(7).
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// The value for a text like `cap_net_raw,cap_net_admin+ep`. `None` if the text is not valid, or a file cannot have these sets.
#[must_use]
pub fn parse(text: &str) -> Option<Vec<u8>> {
    let (mut permitted, mut inheritable, mut effective) = (0_u64, 0_u64, 0_u64);
    for clause in text.split_whitespace() {
        let at = clause.find(['=', '+', '-'])?;
        let (names, action) = clause.split_at(at);
        let mut set = 0;
        for name in names.split(',').filter(|name| !name.is_empty()) {
            let name = name.to_ascii_lowercase();
            let number = NAMES.iter().position(|known| *known == name);
            set |= if name == "all" { (1 << NAMES.len()) - 1 } else { 1 << number? };
        }
        if set == 0 && !action.starts_with('=') {
            return None;
        }
        let flags = &action[1..];
        // `=` with an operator after it, as in `cap_x=+ep`, clears the sets first.
        let (operator, flags) = match flags.strip_prefix('+') {
            Some(flags) if action.starts_with('=') => ('=', flags),
            _ => (action.chars().next()?, flags),
        };
        if !flags.chars().all(|flag| "epi".contains(flag)) {
            return None;
        }
        let set = if set == 0 { (1 << NAMES.len()) - 1 } else { set };
        for (flag, value) in [('p', &mut permitted), ('i', &mut inheritable), ('e', &mut effective)] {
            match (operator, flags.contains(flag)) {
                ('=', true) | ('+', true) => *value |= set,
                ('=', false) | ('-', true) => *value &= !set,
                _ => {}
            }
        }
    }
    // A file has one effective bit for all capabilities.
    if effective != 0 && effective != permitted | inheritable {
        return None;
    }
    let flags = if effective == 0 { 0 } else { EFFECTIVE };
    let halves = [REVISION_2 | flags, low(permitted), low(inheritable), low(permitted >> 32), low(inheritable >> 32)];
    Some(halves.iter().flat_map(|half| half.to_le_bytes()).collect())
}

fn low(set: u64) -> u32 {
    u32::try_from(set & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_setcap() {
        let bytes = |words: [u32; 5]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        // Read from files that setcap of libcap2 2.75 had changed.
        for (text, words) in [
            ("cap_net_raw+ep", [0x0200_0001, 0x2000, 0, 0, 0]),
            ("cap_net_raw=ep", [0x0200_0001, 0x2000, 0, 0, 0]),
            ("cap_net_raw=+ep", [0x0200_0001, 0x2000, 0, 0, 0]),
            ("cap_dac_override,cap_bpf,CAP_NET_ADMIN=ep", [0x0200_0001, 0x1002, 0, 0x80, 0]),
            ("cap_net_bind_service+p", [0x0200_0000, 0x400, 0, 0, 0]),
            ("cap_setgid+eip cap_setuid+eip", [0x0200_0001, 0xc0, 0xc0, 0, 0]),
            ("all=ep cap_kill-ep", [0x0200_0001, 0xffff_ffdf, 0, 0x1ff, 0]),
        ] {
            assert_eq!(parse(text), Some(bytes(words)), "{text}");
        }
        for text in
            ["cap_unheard_of+ep", "cap_net_raw", "cap_net_raw+x", "+ep", "cap_kill+e", "cap_kill+ep cap_chown+p"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
