/// What may have brought a fault about, by its kind: shown beside the message, the likeliest first (reference 1.15).
package enum ErrorCauses {
    /// The causes of a kind of fault, in the words of either spelling ("timedOut", "timed-out").
    package static func of(_ kind: String) -> [String] {
        table[kind.lowercased().filter { $0 != "-" }] ?? []
    }

    private static let table: [String: [String]] = [
        "unreachable": [
            "the host is down or restarts", "its libvirt daemon or its agent does not run",
            "the connection URI or the socket's path in the vault is wrong",
        ],
        "disconnected": [
            "the agent ended in the middle of the work", "the network between the hosts was cut",
            "a firewall closes the port that the agent receives on",
        ],
        "timedout": ["the host is overloaded", "the network loses packets", "a disk behind it hangs"],
        "sourcenotdown": [
            "the source's host is cut off and may still run the VM", "its fence failed or it has none",
        ],
        "shutdowntimedout": [
            "the guest waits for a user or a service that does not end", "the guest has no ACPI daemon",
        ],
        "nousablebitmap": [
            "QEMU was killed and lost its bitmap", "something else wrote the disk's file while the VM was off",
        ],
        "checkpointunusable": ["QEMU was killed and lost its bitmap", "the disk's file was replaced"],
        "checksummismatch": ["memory or a network device at one of the hosts is faulty", "a disk returned other data"],
        "stalepoint": ["another engine made a point meanwhile"],
        "staleparent": ["another engine made a point meanwhile", "the target's store was put back to an older copy"],
        "diverged": [
            "the target's store was put back to an older copy, or emptied", "the vault is an older copy than the site",
            "another program wrote into the store",
        ],
        "diskschanged": ["a disk was added, removed or resized since the VM was protected"],
        "vmgone": ["the VM was moved to a host that it is not replicated from", "it was undefined by hand"],
        "vaultbehind": ["the vault was put back to an older copy", "another vault failed the VM over"],
        "staleepoch": ["another failover has happened meanwhile", "the vault was put back to an older copy"],
        "notauthorized": ["the agents' certificates or tickets do not fit each other"],
        "protocolviolation": ["the two sides run different versions"],
        "invaliddefinition": ["the VM's definition uses what this hypervisor does not have"],
        "unknowndomain": ["the VM was undefined by hand"],
        "unknownnetwork": ["a network that is mapped to was removed at the target"],
        "unknown": ["it was removed or renamed", "the vault is an older copy than the site"],
        "cancelled": ["another operation that needed the VM ended this one"],
        "nbd": ["QEMU ended while its disk was read", "the export was closed by another program"],
        "toolfailed": ["qemu-img is missing or of another version at the host"],
        "noscratch": [
            "the guest overwrites more than the copy takes away meanwhile", "the way to the target is slow",
            "the source's store has little room",
        ],
        "nospace": ["the target's store is full", "the policy keeps more points than the store has room for"],
        "damaged": ["the file system was not clean", "something else wrote into the store"],
        "io": ["a disk is faulty", "the file system is full or read-only", "the folder's rights do not allow it"],
        "busy": ["another operation has the VM", "another process has the store open"],
        "leaselost": ["this engine was stopped for longer than its lease lives"],
        "notfound": ["it was removed by hand", "the vault is an older copy than the site"],
        "unsupported": ["the two sides run different versions", "the disk's format cannot do it"],
    ]
}
