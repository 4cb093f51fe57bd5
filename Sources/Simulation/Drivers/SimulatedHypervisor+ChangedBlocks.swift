package import Hypervisors
internal import SiteModel

extension SimulatedHypervisor {
    package func createCheckpoint(uuid: String, name: String, disks: [String]) async throws {
        try await act("create-checkpoint", uuid, takes: \.checkpoint, times: Double(disks.count)) { state, now in
            guard let domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            if let there = domain.checkpoints.first(where: { $0.name == name }) {
                if domain.power.isActive { try state.validate(there, domain, at: host) }
                return
            }
            try requireRunning(domain, "begin a checkpoint")
            try state.addCheckpoint(name, disks, to: uuid, at: host, now)
        }
    }

    /// A bitmap that is broken is removed; one that is missing is `checkpointUnusable`.
    package func deleteCheckpoint(uuid: String, name: String, metadataOnly: Bool) async throws {
        try await act("delete-checkpoint", uuid, takes: \.checkpoint) { state, now in
            guard let domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            guard let checkpoint = domain.checkpoints.first(where: { $0.name == name }) else { return }
            if !metadataOnly {
                try requireRunning(domain, "remove a checkpoint's bitmap")
                state.settle(uuid, at: host, now)
                let paths = checkpoint.disks.compactMap { domain.path(of: $0) }
                for path in paths
                where state.hosts[host]?.files[path]?.bitmaps.contains(where: { $0.name == name }) != true {
                    throw Self.unusable(name, "its bitmap is missing from \(path)")
                }
                for path in paths { state.hosts[host]?.change(path) { $0.removeBitmap(name) } }
            }
            state.hosts[host]?.domains[uuid]?.checkpoints.removeAll { $0.name == name }
        }
    }

    package func beginBackup(uuid: String, _ request: BackupRequest) async throws {
        try await act("begin-backup", uuid, takes: \.checkpoint, times: Double(request.disks.count)) { state, now in
            guard let domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            try requireRunning(domain, "begin a backup")
            guard state.hosts[host]?.backups[uuid] == nil else {
                throw HypervisorError(
                    .busy, "a backup of VM \(uuid) is open already", hint: "end it before beginning another")
            }
            guard request.socket.hasPrefix("/"), request.scratchFolder.hasPrefix("/"), request.socket.utf8.count < 108
            else {
                throw HypervisorError(
                    .invalidDefinition, "'\(request.socket)' is no absolute path of less than 108 bytes",
                    hint: "give paths from the root of the host")
            }
            try Self.requireReplicable(request.disks, domain)
            state.settle(uuid, at: host, now)
            var backup = SimulatedBackup(request: request, frozen: [:], marks: [:], changed: [:])
            for target in request.disks {
                guard let path = domain.path(of: target), let file = state.hosts[host]?.files[path] else { continue }
                backup.frozen[target] = state.hosts[host]?.content(path)
                backup.marks[target] = file.mark
                guard let since = request.since, !request.whole.contains(target) else { continue }
                guard domain.checkpoints.contains(where: { $0.name == since }), let changed = file.changes(since: since)
                else { throw Self.unusable(since, "its bitmap in \(path) is missing or broken") }
                backup.changed[target] = changed
            }
            guard !domain.checkpoints.contains(where: { $0.name == request.checkpoint }) else {
                throw HypervisorError(
                    .failed, "could not begin a backup: checkpoint '\(request.checkpoint)' exists",
                    hint: "take a fresh name for a fresh checkpoint")
            }
            try state.addCheckpoint(request.checkpoint, request.disks, to: uuid, at: host, now)
            state.hosts[host]?.backups[uuid] = backup
        }
    }

    package func endBackup(uuid: String) async throws {
        try await act("end-backup", uuid, takes: \.checkpoint) { state, now in
            guard state.hosts[host]?.backups[uuid] != nil else { return }
            state.settle(uuid, at: host, now)
            state.hosts[host]?.backups[uuid] = nil
        }
    }

    package func commitChain(uuid: String, disk: String, into base: String, limit: Duration) async throws {
        let bytes = world.look { state in
            guard let host = state.hosts[host], let top = host.domains[uuid]?.path(of: disk) else { return UInt64(0) }
            return host.chain(top).prefix { $0 != base }.reduce(0) { $0 + (host.files[$1]?.extents.byteCount ?? 0) }
        }
        let most = limit / .seconds(1)
        let seconds = Double(bytes) / world.look { $0.speeds(host).writeBytesPerSecond }
        await world.clock.pass(seconds: min(seconds, most))
        try await act("commit-chain", uuid) { state, now in
            guard let domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            try requireRunning(domain, "fold the chain")
            guard let found = domain.disks.first(where: { $0.target == disk }), let top = found.path else {
                throw HypervisorError(
                    .invalidDefinition, "VM '\(domain.name)' has no disk '\(disk)'",
                    hint: "its disks are: " + domain.disks.map(\.target).joined(separator: ", "))
            }
            if top == base { return }
            let chain = state.hosts[host]?.chain(top) ?? []
            guard let end = chain.firstIndex(of: base) else {
                throw HypervisorError(
                    .invalidDefinition, "'\(base)' is no layer of disk '\(disk)' of VM '\(domain.name)'",
                    hint: "its layers are: " + chain.joined(separator: ", "))
            }
            guard seconds <= most else {
                throw HypervisorError(
                    .timedOut, "the chain of disk '\(disk)' is not folded within \(limit)",
                    hint: "the chain is as it was: try again when the guest writes less")
            }
            state.settle(uuid, at: host, now)
            try state.fold(Array(chain[..<end]), into: base, of: uuid, disk: disk, at: host)
        }
    }

    private func requireRunning(_ domain: SimulatedDomain, _ doing: String) throws {
        guard !domain.power.isActive else { return }
        throw HypervisorError(
            .unsupported, "the VM is off: libvirt can \(doing) of a running VM only",
            hint: "start the VM (paused is enough), or use its disk's bitmap directly")
    }

    static func unusable(_ checkpoint: String, _ why: String) -> HypervisorError {
        HypervisorError(
            .checkpointUnusable, "checkpoint '\(checkpoint)' cannot be used: \(why)",
            hint: "changes since then are unknown: compare the disks, then begin a new checkpoint")
    }

    static func requireReplicable(_ targets: [String], _ domain: SimulatedDomain) throws {
        guard !targets.isEmpty else {
            throw HypervisorError(
                .invalidDefinition, "no disk of VM '\(domain.name)' was named", hint: "name at least one disk")
        }
        for target in targets {
            guard let disk = domain.disks.first(where: { $0.target == target }) else {
                throw HypervisorError(
                    .invalidDefinition, "VM '\(domain.name)' has no disk '\(target)'",
                    hint: "its disks are: " + domain.disks.map(\.target).joined(separator: ", "))
            }
            guard disk.isWritableFile, disk.format == "qcow2" else {
                throw HypervisorError(
                    .unsupported, "disk '\(target)' of VM '\(domain.name)' is no writable qcow2 file",
                    hint: "changes are tracked in qcow2 files only: convert the disk or leave it out")
            }
        }
    }
}

extension WorldState {
    /// libvirt looks whether a checkpoint's bitmaps are there and whole.
    fileprivate func validate(_ checkpoint: SimulatedDomain.Checkpoint, _ domain: SimulatedDomain, at host: String)
        throws
    {
        for path in checkpoint.disks.compactMap({ domain.path(of: $0) }) {
            let bitmap = hosts[host]?.files[path]?.bitmaps.first { $0.name == checkpoint.name }
            guard bitmap?.isBroken == false else {
                throw SimulatedHypervisor.unusable(checkpoint.name, "its bitmap in \(path) is missing or broken")
            }
        }
    }

    fileprivate mutating func addCheckpoint(
        _ name: String, _ targets: [String], to uuid: String, at host: String, _ now: Timestamp
    ) throws {
        guard let domain = hosts[host]?.domains[uuid] else { return }
        try SimulatedHypervisor.requireReplicable(targets, domain)
        settle(uuid, at: host, now)
        let paths = targets.compactMap { domain.path(of: $0) }
        for path in paths where hosts[host]?.files[path]?.bitmaps.contains(where: { $0.name == name }) == true {
            throw HypervisorError(
                .failed, "could not begin checkpoint '\(name)': Bitmap already exists: \(name)",
                hint: "the bitmap of a forgotten checkpoint lies in the file: take another name")
        }
        for path in paths { hosts[host]?.change(path) { $0.bitmaps.append(Bitmap(name: name)) } }
        hosts[host]?.domains[uuid]?.checkpoints.append(.init(name: name, disks: targets))
    }

    /// Content and bitmaps go down into a layer, which the VM writes from now on; the files above it stay behind.
    ///
    /// Into a raw file no bitmap goes.
    fileprivate mutating func fold(
        _ layers: [String], into base: String, of uuid: String, disk: String, at host: String
    ) throws {
        for path in layers.reversed() {
            guard let layer = hosts[host]?.files[path] else { continue }
            hosts[host]?.change(base) { file in
                file.extents.overlay(layer.extents)
                file.mark = layer.mark
                guard file.format == "qcow2" else { return file.bitmaps = [] }
                for bitmap in layer.bitmaps {
                    if let index = file.bitmaps.firstIndex(where: { $0.name == bitmap.name }) {
                        file.bitmaps[index].changed.formUnion(bitmap.changed)
                    } else {
                        file.bitmaps.append(bitmap)
                    }
                }
            }
        }
        guard let domain = hosts[host]?.domains[uuid] else { return }
        let chain = Array(domain.disks.first { $0.target == disk }?.chain.drop { $0.path != base } ?? [])
        let format = hosts[host]?.files[base]?.format ?? "qcow2"
        let named = chain.isEmpty ? [DomainDefinition.Layer(path: base, format: format)] : chain
        if var stored = domain.stored {
            try stored.setDisk(disk, chain: named)
            hosts[host]?.domains[uuid]?.stored = stored
        }
        if var live = domain.live {
            try live.setDisk(disk, chain: named)
            hosts[host]?.domains[uuid]?.live = live
        }
    }
}
