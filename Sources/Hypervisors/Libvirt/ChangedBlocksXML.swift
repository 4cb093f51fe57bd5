/// The XML of libvirt's formatbackup and formatcheckpoint.
///
/// Every disk of the VM is named, so that nothing depends on
/// libvirt's choice for those that are not.
enum ChangedBlocksXML {
    static func checkpoint(_ name: String, disks: [String], of definition: DomainDefinition) throws -> String {
        try requireReplicable(disks, of: definition)
        let all = definition.disks.map { disk in
            XMLTree(
                "disk", ["name": disk.target, "checkpoint": disks.contains(disk.target) ? "bitmap" : "no"])
        }
        let name = try XMLTree.checked(name, "the checkpoint's name")
        return XMLTree("domaincheckpoint", [:], [XMLTree("name", text: name), XMLTree("disks", [:], all)]).serialised()
    }

    static func backup(
        _ request: BackupRequest, scratch: [String: String], of definition: DomainDefinition
    ) throws -> String {
        try requireReplicable(request.disks, of: definition)
        let disks = try definition.disks.map { disk in
            guard let path = scratch[disk.target] else {
                return XMLTree("disk", ["name": disk.target, "backup": "no"])
            }
            var attributes = ["name": disk.target, "backup": "yes", "type": "file", "exportname": disk.target]
            if request.since != nil {
                if request.whole.contains(disk.target) {
                    attributes["backupmode"] = "full"
                } else {
                    attributes["exportbitmap"] = "backup-\(disk.target)"
                }
            }
            let checked = try XMLTree.checked(path, "the scratch file's path")
            return XMLTree("disk", attributes, [XMLTree("scratch", ["file": checked])])
        }
        for path in [request.socket] + scratch.values where !path.hasPrefix("/") {
            throw HypervisorError(
                .invalidDefinition, "'\(path)' is not an absolute path", hint: "give paths from the root of the host")
        }
        // sun_path holds 108 bytes, the last of them zero.
        guard request.socket.utf8.count < 108 else {
            throw HypervisorError(
                .invalidDefinition, "the socket's path '\(request.socket)' is longer than 107 bytes",
                hint: "use a folder with a shorter path")
        }
        var parts: [XMLTree] = []
        if let since = request.since {
            parts.append(XMLTree("incremental", text: try XMLTree.checked(since, "the checkpoint's name")))
        }
        let socket = try XMLTree.checked(request.socket, "the socket's path")
        parts.append(XMLTree("server", ["transport": "unix", "socket": socket]))
        parts.append(XMLTree("disks", [:], disks))
        return XMLTree("domainbackup", ["mode": "pull"], parts).serialised()
    }

    /// Scratch file of each disk to be backed up, by target.
    static func scratchPaths(uuid: String, _ request: BackupRequest) -> [String: String] {
        Dictionary(
            request.disks.map { ($0, "\(request.scratchFolder)/\(uuid)-\($0).scratch") },
            uniquingKeysWith: { first, _ in first })
    }

    private static func requireReplicable(_ disks: [String], of definition: DomainDefinition) throws {
        guard !disks.isEmpty else {
            throw HypervisorError(
                .invalidDefinition, "no disk of VM '\(definition.name)' was named", hint: "name at least one disk")
        }
        for target in disks {
            guard let disk = definition.disks.first(where: { $0.target == target }) else {
                throw HypervisorError(
                    .invalidDefinition, "VM '\(definition.name)' has no disk '\(target)'",
                    hint: "its disks are: " + definition.disks.map(\.target).joined(separator: ", "))
            }
            guard disk.isWritableFile, disk.format == "qcow2" else {
                throw HypervisorError(
                    .unsupported, "disk '\(target)' of VM '\(definition.name)' is no writable qcow2 file",
                    hint: "changes are tracked in qcow2 files only: convert the disk or leave it out")
            }
        }
    }
}
