internal import CLibvirt
internal import Foundation

// Checkpoints are persistent dirty bitmaps in the qcow2 files, plus libvirt's record of them. What survives what, and
// what libvirt refuses, is in docs/decisions/0003-libvirt-facts.md.
extension LibvirtHypervisor {
    package func checkpoints(uuid: String) async throws -> [String] {
        try await onDomain(uuid) { try Self.checkpointNames($0) }
    }

    private static func checkpointNames(_ domain: OpaquePointer) throws -> [String] {
        var list: UnsafeMutablePointer<OpaquePointer?>?
        // In topological order each checkpoint follows its parent, the one before it.
        let flags = VIR_DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL.rawValue
        let count = virDomainListAllCheckpoints(domain, &list, flags)
        try LibvirtLibrary.check(count, "list the VM's checkpoints")
        return takeAll(list, count, free: virDomainCheckpointFree) { checkpoint in
            virDomainCheckpointGetName(checkpoint).map { String(cString: $0) }
        }
    }

    /// One of that name that exists is checked and kept: it tracks at least as much.
    package func createCheckpoint(uuid: String, name: String, disks: [String]) async throws {
        try await onDomain(uuid) { domain in
            if try Self.checkpointNames(domain).contains(name) {
                return try Self.validate(domain, checkpoint: name)
            }
            try Self.requireRunning(domain, "begin a checkpoint")
            let definition = try Self.definition(domain, inactive: false)
            let xml = try ChangedBlocksXML.checkpoint(name, disks: disks, of: definition)
            guard let checkpoint = virDomainCheckpointCreateXML(domain, xml, 0) else {
                throw LibvirtLibrary.error("begin checkpoint '\(name)' of VM '\(definition.name)'")
            }
            virDomainCheckpointFree(checkpoint)
        }
    }

    /// Redefining a checkpoint as it is makes libvirt look whether its bitmaps are there and whole.
    private static func validate(_ domain: OpaquePointer, checkpoint name: String) throws {
        let doing = "check checkpoint '\(name)'"
        guard let checkpoint = virDomainCheckpointLookupByName(domain, name, 0) else {
            throw LibvirtLibrary.error(doing)
        }
        defer { virDomainCheckpointFree(checkpoint) }
        guard try isActive(domain) else { return }
        let xml = try LibvirtLibrary.take(
            virDomainCheckpointGetXMLDesc(checkpoint, VIR_DOMAIN_CHECKPOINT_XML_SECURE.rawValue), doing)
        let flags =
            VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE.rawValue | VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE_VALIDATE.rawValue
        guard let same = virDomainCheckpointCreateXML(domain, xml, flags) else { throw LibvirtLibrary.error(doing) }
        virDomainCheckpointFree(same)
    }

    /// Removes a bitmap that is marked broken as well.
    ///
    /// One that is missing is `checkpointUnusable`, and only
    /// `metadataOnly` gets rid of such a checkpoint. That alone leaves a broken bitmap in the file, and its name taken.
    package func deleteCheckpoint(uuid: String, name: String, metadataOnly: Bool) async throws {
        try await onDomain(uuid) { domain in
            guard try Self.checkpointNames(domain).contains(name) else { return }
            guard let checkpoint = virDomainCheckpointLookupByName(domain, name, 0) else {
                throw LibvirtLibrary.error("find checkpoint '\(name)'")
            }
            defer { virDomainCheckpointFree(checkpoint) }
            if !metadataOnly { try Self.requireRunning(domain, "remove a checkpoint's bitmap") }
            let flags = metadataOnly ? VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY.rawValue : 0
            if virDomainCheckpointDelete(checkpoint, flags) >= 0 { return }
            let error = LibvirtLibrary.error("delete checkpoint '\(name)'")
            // A bitmap that never reached the file is an "internal error" to libvirt: the check says it better.
            if !metadataOnly { try Self.validate(domain, checkpoint: name) }
            throw error
        }
    }

    /// A bitmap that is missing or broken is `checkpointUnusable`; a backup that is open already is `busy`.
    package func beginBackup(uuid: String, _ request: BackupRequest) async throws {
        try await onDomain(uuid) { domain in
            try Self.requireRunning(domain, "begin a backup")
            // libvirt itself would wait half a minute for the other job before it says so.
            guard try !Self.backupIsActive(domain) else {
                throw HypervisorError(
                    .busy, "a backup of VM \(uuid) is open already", hint: "end it before beginning another")
            }
            let definition = try Self.definition(domain, inactive: false)
            let scratch = ChangedBlocksXML.scratchPaths(uuid: uuid, request)
            let backup = try ChangedBlocksXML.backup(request, scratch: scratch, of: definition)
            let checkpoint = try ChangedBlocksXML.checkpoint(request.checkpoint, disks: request.disks, of: definition)
            if virDomainBackupBegin(domain, backup, checkpoint, 0) >= 0 { return }
            let error = LibvirtLibrary.error("begin a backup of VM '\(definition.name)'")
            guard LibvirtLibrary.isNumber(error, VIR_ERR_INVALID_ARG) else { throw error }
            // libvirt keeps to files that it made itself; after a crash of QEMU or of the host old ones remain.
            throw HypervisorError(
                .failed, error.message,
                hint: "if scratch files of an earlier backup are in the way, remove them: "
                    + scratch.values.sorted().joined(separator: ", "), cause: error.cause)
        }
    }

    package func backupIsActive(uuid: String) async throws -> Bool {
        try await onDomain(uuid) { try Self.backupIsActive($0) }
    }

    private static func backupIsActive(_ domain: OpaquePointer) throws -> Bool {
        if let xml = virDomainBackupGetXMLDesc(domain, 0) {
            free(xml)
            return true
        }
        let error = LibvirtLibrary.error("ask for the VM's backup")
        if LibvirtLibrary.isNumber(error, VIR_ERR_NO_DOMAIN_BACKUP) { return false }
        throw error
    }

    /// Only a backup is ended, no other job.
    ///
    /// libvirt says "aborted" before QEMU has let go of the scratch files, so
    /// the end is waited for.
    package func endBackup(uuid: String) async throws {
        var waited = Duration.zero
        let pause = Duration.milliseconds(10)
        let limit = Duration.seconds(60)
        var asked = false
        while true {
            let abort = !asked
            let active = try await call { connection in
                guard let domain = try Self.find(uuid, connection) else { return false }
                defer { virDomainFree(domain) }
                guard try Self.backupIsActive(domain) else { return false }
                guard abort, virDomainAbortJob(domain) < 0 else { return true }
                let error = LibvirtLibrary.error("end the backup of VM \(uuid)")
                if try Self.backupIsActive(domain) { throw error }
                return false
            }
            guard active else { return }
            asked = true
            guard waited < limit else {
                throw HypervisorError(
                    .timedOut, "the backup of VM \(uuid) does not end", hint: "look at the VM's jobs at the host")
            }
            try await clock.sleep(for: pause)
            waited += pause
        }
    }

    private static func requireRunning(_ domain: OpaquePointer, _ doing: String) throws {
        guard try !isActive(domain) else { return }
        throw HypervisorError(
            .unsupported, "the VM is off: libvirt can \(doing) of a running VM only",
            hint: "start the VM (paused is enough), or use its disk's bitmap directly")
    }
}
