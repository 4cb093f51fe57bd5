internal import CLibvirt

extension LibvirtHypervisor {
    /// State of a chain's commit, as it is seen at one look.
    private enum Commit: Sendable {
        case copying, pivoted
    }

    package func commitChain(uuid: String, disk: String, into base: String, limit: Duration) async throws {
        var waited = Duration.zero
        let pause = Duration.milliseconds(100)
        while true {
            let now = try await onDomain(uuid) { try Self.driveCommit($0, disk: disk, into: base) }
            if case .pivoted = now { return }
            guard waited < limit else {
                // Left alone, the job would keep every later backup of the VM from beginning.
                try await onDomain(uuid) { try Self.abortCommit($0, disk: disk) }
                throw HypervisorError(
                    .timedOut, "the chain of disk '\(disk)' is not folded within \(limit)",
                    hint: "the chain is as it was: try again when the guest writes less")
            }
            try await clock.sleep(for: pause)
            waited += pause
        }
    }

    /// Looks at the disk, does what is due, and says how far it is.
    ///
    /// Everything is asked of the host anew each time, so a commit that somebody else began, or that an earlier
    /// process left, is driven on. A commit into a qcow2 layer takes the bitmaps along, so checkpoints stay usable;
    /// into a raw file they are lost.
    private static func driveCommit(_ domain: OpaquePointer, disk target: String, into base: String) throws -> Commit {
        guard try isActive(domain) else {
            throw HypervisorError(
                .unsupported, "the VM is off: libvirt folds the chain of a running VM only",
                hint: "start the VM first, or fold the files with qemu-img while it is off")
        }
        let definition = try definition(domain, inactive: false)
        guard let disk = definition.disks.first(where: { $0.target == target }) else {
            throw HypervisorError(
                .invalidDefinition, "VM '\(definition.name)' has no disk '\(target)'",
                hint: "its disks are: " + definition.disks.map(\.target).joined(separator: ", "))
        }
        if disk.path == base { return .pivoted }
        guard disk.chain.contains(where: { $0.path == base }) else {
            throw HypervisorError(
                .invalidDefinition, "'\(base)' is no layer of disk '\(target)' of VM '\(definition.name)'",
                hint: "its layers are: " + disk.chain.map(\.path).joined(separator: ", "))
        }

        let doing = "fold the chain of disk '\(target)' of VM '\(definition.name)'"
        var job = virDomainBlockJobInfo()
        let found = virDomainGetBlockJobInfo(domain, target, &job, 0)
        try LibvirtLibrary.check(found, doing)
        guard found == 1 else {
            let flags = VIR_DOMAIN_BLOCK_COMMIT_ACTIVE.rawValue
            try LibvirtLibrary.check(virDomainBlockCommit(domain, target, base, nil, 0, flags), doing)
            return .copying
        }
        guard UInt32(job.type) == VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT.rawValue else {
            throw HypervisorError(
                .busy, "another block job is under way on disk '\(target)' of VM '\(definition.name)'",
                hint: "wait for its end or abort it, then try again")
        }
        guard job.end > 0, job.cur == job.end else { return .copying }
        let flags = VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT.rawValue
        guard virDomainBlockJobAbort(domain, target, flags) < 0 else { return .copying }
        // All may be copied a moment before QEMU says that it can switch over, most of all on a busy host: ask again.
        if virGetLastErrorCode() == Int32(VIR_ERR_BLOCK_COPY_ACTIVE.rawValue) { return .copying }
        try LibvirtLibrary.check(-1, doing)
        return .copying
    }

    private static func abortCommit(_ domain: OpaquePointer, disk target: String) throws {
        try LibvirtLibrary.check(
            virDomainBlockJobAbort(domain, target, 0), "give up folding the chain of disk '\(target)'")
    }
}
