package import BlockReplication
internal import SiteModel

extension SimulatedAgent {
    package func openPoint(_ request: OpenPoint) async throws -> PointTicket {
        try await act("open-point", request.relationship) { state, _ in
            let record = state.hosts[host]?.ownership[request.relationship]
            var store = state.hosts[host]?.stores[request.relationship] ?? SimulatedStore(vm: request.vm)
            guard store.vm.uuid == request.vm.uuid else {
                throw ReplicationError(
                    .invalidArgument, "relationship \(request.relationship) holds points of another VM",
                    hint: "forget the relationship at this host before the name is used for another VM")
            }
            // Whatever an earlier attempt left behind is thrown away, also when this one is refused.
            state.dropDraft(request.relationship, at: host)
            store.draft = nil
            if store.epoch == 0, let record { (store.epoch, store.owner) = (record.epoch, record.owner) }
            let known = store.layers.map(\.generation) + store.retired.map(\.generation)
            guard !known.contains(request.generation) else {
                throw ReplicationError(
                    .invalidArgument, "generation \(request.generation) exists already",
                    hint: "mint a new generation for each cycle")
            }
            guard request.previous == store.newest?.generation else {
                throw ReplicationError(
                    .staleParent,
                    "the point's parent \(request.previous ?? "none") is not the newest generation"
                        + " \(store.newest?.generation ?? "none")",
                    hint: "compare the disks by hash, or send the changes since the newest generation")
            }
            guard !request.disks.isEmpty, Set(request.disks.map(\.target)).count == request.disks.count else {
                throw ReplicationError(
                    .invalidArgument, "a point has at least one disk and each disk once",
                    hint: "correct the list of disks")
            }
            let token = state.chance.uuid()
            store.draft = SimulatedStore.Draft(request: request, token: token)
            state.hosts[host]?.stores[request.relationship] = store
            var ticket = PointTicket(
                relationship: request.relationship, generation: request.generation, token: token,
                address: state.hosts[host]?.address ?? host, base: state.growingBase(for: request, at: host),
                isEncrypted: true)
            ticket.held = store.newestFiles.compactMap { target, path in
                (state.hosts[host]?.files[path]?.size).map { DiskGeometry(target: target, size: $0) }
            }.sorted { $0.target < $1.target }
            return ticket
        }
    }

    package func sealPoint(_ request: SealPoint) async throws -> PointSummary {
        try await act("seal-point", request.relationship) { state, _ in
            if let sealed = state.hosts[host]?.stores[request.relationship]?.point(request.generation) {
                return sealed.summary
            }
            if let record = state.hosts[host]?.ownership[request.relationship] {
                guard
                    request.epoch > record.epoch || (request.epoch == record.epoch && request.owner == record.owner)
                else {
                    throw ReplicationError(
                        .staleEpoch,
                        "the point was made by \(request.owner) at epoch \(request.epoch), but \(record.owner) owns"
                            + " the VM at epoch \(record.epoch)",
                        hint:
                            "another failover has happened: abandon the point and read the present owner from the vault"
                    )
                }
            }
            guard let draft = state.hosts[host]?.stores[request.relationship]?.draft,
                draft.request.generation == request.generation
            else {
                throw ReplicationError(
                    .notFound, "generation \(request.generation) is not being received here",
                    hint: "open the point and send it again; earlier points are intact")
            }
            guard draft.isSent else {
                throw ReplicationError(
                    .invalidArgument, "generation \(request.generation) has not been received whole",
                    hint: "send all disks of the point, and seal it after that")
            }
            guard draft.received.mapValues(\.checksum) == request.checksums else {
                throw ReplicationError(
                    .checksumMismatch, "what was received is not what the sender says it sent",
                    hint: "open the point and send it again")
            }
            guard state.hosts[host]?.stores[request.relationship]?.growing?.isWhole ?? true else {
                throw ReplicationError(
                    .invalidArgument, "the first copy is not whole: a part of its disks is missing",
                    hint: "end the leg, and send further ones until nothing is missing")
            }
            return state.seal(draft, request, at: host)
        }
    }

    package func abandonPoint(relationship: String, generation: String) async throws {
        try await act("abandon-point", relationship) { state, _ in
            guard state.hosts[host]?.stores[relationship]?.draft?.request.generation == generation else { return }
            state.dropDraft(relationship, at: host)
        }
    }

    package func keepPoints(relationship: String, keeping: [String], pinned: [String]) async throws -> [PointSummary] {
        try await actOnStore("keep-points", relationship) { store, state, _ in
            let retired = try PointsToRetire.of(
                store.points.map(\.generation), keeping: keeping, pinned: pinned)
            for index in store.layers.indices where retired.contains(store.layers[index].generation) {
                store.layers[index].isPoint = false
            }
            state.merge(&store, pinned: pinned, at: host)
            return store.points.map(\.summary)
        }
    }

    package func dropPoints(relationship: String, allBut generation: String) async throws {
        try await actOnStore("drop-points", relationship) { store, state, _ in
            guard let chosen = store.point(generation) else { throw noPoint(generation) }
            if let draft = store.draft {
                state.hosts[host]?.release(draft.bytes)
                store.draft = nil
            }
            let held = store.closure([generation])
            for layer in store.layers where !held.contains(layer.generation) {
                for path in layer.files.values { state.hosts[host]?.remove(path) }
                guard layer.summary.number > chosen.summary.number else { continue }
                store.retired.append(
                    .init(generation: layer.generation, number: layer.summary.number, extents: layer.extents))
            }
            store.layers.removeAll { !held.contains($0.generation) }
            store.divergence = nil
            for index in store.layers.indices {
                store.layers[index].isPoint = store.layers[index].generation == generation
            }
        }
    }

    package func forget(relationship: String) async throws {
        try await act("forget", relationship) { state, _ in
            defer { state.dropDraft(relationship, at: host) }
            guard let store = state.hosts[host]?.stores[relationship], let current = state.hosts[host] else {
                state.hosts[host]?.forgetRecord(relationship)
                return
            }
            let prefix = "\(current.store)/points/\(relationship)/"
            let outside = store.adopted.values.filter { !$0.hasPrefix(prefix) }
            let isStoodOn = outside.contains { current.chain($0).contains { $0.hasPrefix(prefix) } }
            let own = store.adopted.values.filter { $0.hasPrefix(prefix) }
            let open = (store.boots.values.flatMap(\.images).compactMap(\.chain.first?.path) + own).sorted().first {
                current.isOpen($0)
            }
            if isStoodOn || open != nil {
                throw ReplicationError(
                    .busy, open.map { "\($0) is in use" } ?? "a VM's own disks are in this store",
                    hint: "stop the VM and move or discard its disks before its replication is removed")
            }
            for path in current.files.keys.sorted() where path.hasPrefix(prefix) {
                if current.isOpen(path) { state.violate("the disk of a running VM is thrown away: \(path)") }
                state.hosts[host]?.remove(path)
            }
            state.dropDraft(relationship, at: host)
            state.hosts[host]?.stores[relationship] = nil
            state.hosts[host]?.forgetRecord(relationship)
        }
    }
}

extension SimulatedStore {
    /// Generations whose files somebody reads by name: those given, those beneath boot images, and all beneath these.
    func closure(_ pinned: [String]) -> Set<String> {
        let starts = Set(pinned + boots.values.map(\.generation))
        guard let last = layers.lastIndex(where: { starts.contains($0.generation) }) else { return [] }
        return Set(layers[...last].map(\.generation))
    }
}

extension WorldState {
    /// Where a host keeps a relationship's file.
    func place(_ relationship: String, _ file: String, at host: String) -> String {
        "\(hosts[host]?.store ?? "")/points/\(relationship)/\(file)"
    }

    /// Makes what was received a point: one file a disk on the newest point, all at one instant.
    fileprivate mutating func seal(_ draft: SimulatedStore.Draft, _ request: SealPoint, at host: String) -> PointSummary
    {
        guard var store = hosts[host]?.stores[request.relationship] else { preconditionFailure("a draft has a store") }
        hosts[host]?.stores[request.relationship] = nil
        hosts[host]?.release(draft.bytes)
        store.draft = nil
        let number = max(store.nextNumber, request.number)
        store.nextNumber = number + 1
        let summary = PointSummary(
            generation: request.generation, previous: draft.request.previous, number: number, cause: request.cause,
            at: request.at, bytes: store.growing?.bytes ?? draft.bytes)
        var layer = SimulatedStore.Layer(summary: summary, files: [:], extents: [:], xml: request.domainXML)
        layer.firmware = request.firmware ?? request.firmwareOf.flatMap { store.point($0)?.firmware }
        for disk in draft.request.disks {
            guard let received = draft.received[disk.target] else { continue }
            let below = store.top(of: disk.target)
            // The base of a disk that was added later is never written again: it has a generation's name.
            let isFirst = below == nil && store.layers.isEmpty && store.adopted.isEmpty
            let name = isFirst ? "base-\(disk.target).raw" : "\(request.generation)-\(disk.target).qcow2"
            let path = place(request.relationship, name, at: host)
            var file = SimulatedFile(
                size: disk.size, format: isFirst ? "raw" : "qcow2", backing: below, extents: received.extents)
            file.mark = received.mark
            if store.growing != nil {
                let part = growingPlace(request.relationship, disk.target, at: host)
                file.extents = hosts[host]?.files[part]?.extents ?? file.extents
                hosts[host]?.remove(part)
            }
            hosts[host]?.put(file, at: path)
            layer.files[disk.target] = path
            layer.extents[disk.target] = received.granules
            if checksPoints, let truth = truth[request.generation]?[disk.target],
                hosts[host]?.content(path)?.flattened.readsLike(truth.flattened, size: disk.size) == false
            {
                violate("point \(number) of \(store.vm.name) at \(host) is not what the source held at its instant")
            }
        }
        truth[request.generation] = nil
        store.growing = nil
        store.disks = draft.request.disks
        store.layers.append(layer)
        if store.epoch < request.epoch { (store.epoch, store.owner) = (request.epoch, request.owner) }
        // With the first point on adopted disks this direction is whole: nobody asks for maps from the time before.
        if store.points.count == 1 { store.retired = [] }
        hosts[host]?.stores[request.relationship] = store
        return summary
    }

    /// Merges each layer that is no point, and that nothing stands on by name, into the one above it; the raw base stays.
    fileprivate mutating func merge(_ store: inout SimulatedStore, pinned: [String], at host: String) {
        let held = store.closure(pinned)
        var index = 0
        while index + 1 < store.layers.count {
            let older = store.layers[index]
            let isRaw = older.files.values.contains { hosts[host]?.files[$0]?.format == "raw" }
            guard !older.isPoint, !isRaw, !held.contains(older.generation) else {
                index += 1
                continue
            }
            // A disk that was taken away goes with the last layer that has it.
            for (target, path) in older.files where store.layers[index + 1].files[target] == nil {
                hosts[host]?.remove(path)
            }
            for (target, path) in store.layers[index + 1].files.sorted(by: { $0.key < $1.key }) {
                guard let under = older.files[target], let beneath = hosts[host]?.files[under] else { continue }
                hosts[host]?.remove(under)
                hosts[host]?.change(path) { file in
                    var extents = beneath.extents
                    extents.overlay(file.extents)
                    file.extents = extents
                    file.backing = beneath.backing
                }
                store.layers[index + 1].extents[target, default: []].formUnion(older.extents[target] ?? [])
            }
            store.layers.remove(at: index)
        }
    }
}
