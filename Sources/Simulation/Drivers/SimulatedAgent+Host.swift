package import BlockReplication
internal import Hypervisors
internal import RecoveryEngine
internal import SiteModel

/// What an agent knows of its host: the records of ownership, what guests are told, and how the host is.
extension SimulatedAgent {
    // MARK: Ownership

    package func standings() async throws -> [OwnershipStanding] {
        try await act("standings", "") { state, _ in
            guard let current = state.hosts[host] else { return [] }
            return current.ownership.values.sorted { $0.relationship < $1.relationship }.map {
                OwnershipStanding(record: $0, isConfirmed: current.confirmed.contains($0.relationship))
            }
        }
    }

    package func forgetOwnership(relationship: String) async throws {
        try await act("forget-ownership", relationship) { state, _ in
            state.dropGrowing(relationship, at: host)
            state.hosts[host]?.ownership[relationship] = nil
            state.hosts[host]?.confirmed.remove(relationship)
        }
    }

    // MARK: The vault

    package func attend(_ vault: VaultStanding) async throws {
        try await act("attend", vault.id) { state, _ in try state.hosts[host]?.admit(vault) }
    }

    package func keepVault(_ part: VaultPart) async throws {
        try await act("keep-vault", part.vault.id) { state, _ in
            try state.hosts[host]?.admit(part.vault)
            let draft = part.vault.id + ".part"
            let there = part.offset == 0 ? 0 : state.hosts[host]?.vaultCopies[draft]?.count ?? 0
            guard there == part.offset else {
                throw ReplicationError(
                    .protocolViolation, "a part of the vault's copy does not follow the one before",
                    hint: "it is shipped again from its start")
            }
            let bytes = VaultCopyBytes(count: there + UInt64(part.data.count))
            state.hosts[host]?.vaultCopies[part.isLast ? part.vault.id : draft] = bytes
            if part.isLast { state.hosts[host]?.vaultCopies[draft] = nil }
        }
    }

    // MARK: A first copy that is carried

    /// Nobody carries anything through this world.
    package func openExport(_ request: ExportPoint) async throws -> PointTicket {
        throw ReplicationError(
            .unsupported, "a simulated agent cannot write a first copy into a folder",
            hint: "make the first copy over the network")
    }

    package func importPoint(_ request: ImportPoint) async throws -> PointSummary {
        throw ReplicationError(
            .unsupported, "a simulated agent cannot take a first copy in from a folder",
            hint: "make the first copy over the network")
    }

    // MARK: What guests are told

    package func writeSeed(_ seed: GuestSeed) async throws -> String {
        guard seed.epoch >= 0 else {
            throw ReplicationError(.invalidArgument, "an epoch is 0 or more", hint: "0 is a test's")
        }
        // The same image as a real agent's: what has no place in one is refused here too.
        let size = UInt64(try SeedImage.bytes(seed.files).count)
        return try await act("write-seed", seed.relationship) { state, now in
            guard state.hosts[host]?.freeBytes ?? 0 >= size else {
                throw ReplicationError(
                    .io, "the address data cannot be written at \(host)", hint: "look at the store's space and rights")
            }
            if seed.epoch > 0 {
                state.hosts[host]?.removeSeeds(of: seed.relationship) { $0 > 0 && $0 < seed.epoch }
            }
            let path = "\(state.hosts[host]?.store ?? "")/seeds/\(seed.relationship)-e\(seed.epoch).iso"
            let stamp = WriteStamp(version: state.nextVersion(), at: now)
            let file = SimulatedFile(
                size: size, format: "raw", extents: VersionedExtents(whole: size, stamp: stamp))
            state.hosts[host]?.put(file, at: path)
            state.hosts[host]?.seeds[path] = seed
            return path
        }
    }

    // MARK: The host

    package func check(_ request: AgentCheck) async throws -> AgentCheckAnswer {
        try request.requireLimits()
        return try await act("check", "") { state, now in
            guard let current = state.hosts[host] else { throw noStore("") }
            let store = FolderFacts(
                path: current.store, freeBytes: current.freeBytes, totalBytes: current.capacity, fileSystem: "ext4",
                writeFailure: current.freeBytes < 4096 ? "No space left on device" : nil)
            return AgentCheckAnswer(
                time: now, dataAddress: current.address, storeID: SimulatedHypervisor.hostUUID(host), store: store,
                images: request.images.map { current.imageFacts($0) },
                programs: request.programs.map { ProgramFacts(name: $0, path: current.path(ofProgram: $0)) },
                endpoints: request.endpoints.map { state.outcome(of: $0, from: current) },
                startHook: StartHookFacts(
                    path: StartHook.path(in: StartHook.libvirtRoot), runtime: OwnershipRecords.defaultRuntime),
                security: SecurityFacts(
                    isEncrypted: true, isLocal: false,
                    certificate: CertificateFacts(
                        subject: "/CN=\(host)", issuer: "/CN=simulated", validFrom: now,
                        validUntil: now.advanced(bySeconds: 365 * 86_400), protocolVersion: "TLSv1.3")))
        }
    }
}

extension SimulatedHost {
    fileprivate func imageFacts(_ path: String) -> ImageFacts {
        guard path.hasPrefix("/") else { return ImageFacts(path: path, version: nil, failure: "no absolute path") }
        guard let file = files[path] else {
            return ImageFacts(path: path, version: nil, failure: "\(path) does not exist")
        }
        guard file.format == "qcow2" else {
            return ImageFacts(path: path, version: nil, failure: "\(path) is no qcow2 file")
        }
        return ImageFacts(path: path, version: 3, allocatedBytes: file.extents.byteCount)
    }

    fileprivate func path(ofProgram name: String) -> String? {
        let isName = !name.isEmpty && !name.contains("/") && !missingPrograms.contains(name)
        return isName ? "/usr/bin/\(name)" : nil
    }

    /// Removes all that is kept of a relationship beside its points.
    mutating func forgetRecord(_ relationship: String) {
        ownership[relationship] = nil
        confirmed.remove(relationship)
        removeSeeds(of: relationship) { _ in true }
    }

    /// Removes the CD images of a relationship, by their epoch.
    mutating func removeSeeds(of relationship: String, where matches: (Int) -> Bool) {
        for (path, seed) in seeds where seed.relationship == relationship && matches(seed.epoch) {
            remove(path)
            seeds[path] = nil
        }
    }
}

extension WorldState {
    /// What a connection to an endpoint comes to: of all that there is in the world, only agents listen.
    fileprivate func outcome(of probe: EndpointProbe, from source: SimulatedHost) -> EndpointOutcome {
        let what = "\(probe.host):\(probe.port)"
        guard probe.timeoutSeconds > 0, !probe.host.isEmpty else {
            return EndpointOutcome(failure: EndpointFailure(.invalid, "\(what) cannot be tried"))
        }
        guard let peer = hosts.values.first(where: { $0.name == probe.host }) else {
            return EndpointOutcome(failure: EndpointFailure(.nameUnknown, "no number is known for \(probe.host)"))
        }
        let link = link(source.site, peer.site)
        let isApart = source.site != peer.site && (link.isCut || source.isCutOff || peer.isCutOff)
        guard peer.isUp, !isApart else {
            return EndpointOutcome(
                addresses: [peer.name], seconds: probe.timeoutSeconds,
                failure: EndpointFailure(.timedOut, "nothing came back from \(what)"))
        }
        guard peer.address == what else {
            return EndpointOutcome(
                addresses: [peer.name], seconds: 2 * link.latency,
                failure: EndpointFailure(.refused, "nothing listens at \(what)"))
        }
        guard probe.service != .tls else {
            return EndpointOutcome(
                addresses: [peer.name], connectedTo: peer.name, seconds: 2 * link.latency,
                failure: EndpointFailure(.notTLS, "\(what) is no TLS server"))
        }
        return EndpointOutcome(addresses: [peer.name], connectedTo: peer.name, seconds: 2 * link.latency)
    }
}

extension SimulatedHost {
    /// Notes how a vault stands; refused when a copy of it that was promoted later has asked before.
    mutating func admit(_ vault: VaultStanding) throws {
        try vaults[vault.id]?.admit(vault)
        vaults[vault.id] = vault
    }
}
