import SiteModel

/// The files that cloud-init reads from a drive called CIDATA (cloud-init: NoCloud data source, network configuration
/// version 2).
enum NoCloudData {
    /// The files; nil when no NIC's guest is to be told anything.
    ///
    /// The instance's id is new at each place, since cloud-init takes up a network configuration for a new instance
    /// alone. What else it does to a new instance is held back: host keys, name and users are the VM's own.
    static func files(instance: String, nics: [PlacedNIC]) -> [String: String]? {
        let told = nics.filter { $0.network != nil && ($0.address != nil || $0.dhcp) }
        guard !told.isEmpty else { return nil }
        return [
            "meta-data": "instance-id: \(instance)\n",
            "user-data": """
            #cloud-config
            preserve_hostname: true
            ssh_deletekeys: false
            ssh_genkeytypes: []
            users: []
            disable_root: false

            """,
            "network-config": network(told),
        ]
    }

    private static func network(_ nics: [PlacedNIC]) -> String {
        var lines = ["version: 2", "ethernets:"]
        for (index, nic) in nics.enumerated() {
            lines += ["  nic\(index):", "    match:", "      macaddress: \"\(nic.mac)\""]
            guard let given = nic.address else {
                lines.append("    dhcp4: true")
                continue
            }
            lines += ["    dhcp4: false", "    addresses:", "      - \"\(given.address)/\(given.prefix)\""]
            if let gateway = given.gateway {
                lines += ["    routes:", "      - to: \"0.0.0.0/0\"", "        via: \"\(gateway)\""]
            }
            if !given.dns.isEmpty {
                lines += ["    nameservers:", "      addresses:"] + given.dns.map { "        - \"\($0)\"" }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
