package import BlockReplication
internal import SiteModel

extension SimulatedAgent {
    /// Epoch 0 is a test.
    package func createBootImages(relationship: String, generation: String, epoch: Int) async throws -> [BootImage] {
        try await actOnStore("create-boot-images", relationship) { store, state, _ in
            guard epoch == 0 || epoch >= store.epoch, epoch >= 0 else {
                throw ReplicationError(
                    .staleEpoch,
                    "epoch \(epoch) is not valid: the recorded owner is \(store.owner) at epoch \(store.epoch)",
                    hint: "another failover has happened: read the present owner from the vault and act on that")
            }
            if let boot = store.boots[epoch] {
                guard boot.generation == generation else {
                    throw ReplicationError(
                        .busy, "the VM's disks at epoch \(epoch) already stand on point \(boot.generation)",
                        hint: "stop the VM and discard those disks before it is started from another point")
                }
                return boot.images
            }
            guard let point = store.point(generation) else { throw noPoint(generation) }
            var images: [BootImage] = []
            for (target, below) in point.files.sorted(by: { $0.key < $1.key }) {
                let name = epoch == 0 ? "test-e0-\(target).qcow2" : "failover-e\(epoch)-\(target).qcow2"
                let path = state.place(relationship, name, at: host)
                guard let beneath = state.hosts[host]?.files[below] else { continue }
                var file = SimulatedFile(size: beneath.size, format: "qcow2", backing: below)
                file.mark = beneath.mark
                state.hosts[host]?.put(file, at: path)
                let chain = state.hosts[host]?.chain(path) ?? []
                images.append(
                    BootImage(
                        target: target,
                        chain: chain.map { DiskImage(path: $0, format: state.hosts[host]?.files[$0]?.format ?? "raw") })
                )
            }
            store.boots[epoch] = SimulatedStore.Boot(generation: generation, images: images)
            return images
        }
    }

    package func discardBootImages(relationship: String, epoch: Int) async throws {
        try await act("discard-boot-images", relationship) { state, _ in
            for image in state.hosts[host]?.stores[relationship]?.boots[epoch]?.images ?? [] {
                guard let path = image.chain.first?.path else { continue }
                if state.hosts[host]?.isOpen(path) == true {
                    state.violate("the disk of a running VM is thrown away: \(path)")
                }
                state.hosts[host]?.remove(path)
            }
            state.hosts[host]?.stores[relationship]?.boots[epoch] = nil
            state.hosts[host]?.removeSeeds(of: relationship) { $0 == epoch }
        }
    }

    package func adoptDisks(relationship: String, vm: VMIdentity, disks: [AdoptedDisk]) async throws {
        try await act("adopt-disks", relationship) { state, _ in
            state.dropDraft(relationship, at: host)
            state.dropGrowing(relationship, at: host)
            var store = state.hosts[host]?.stores[relationship] ?? SimulatedStore(vm: vm)
            let record = state.hosts[host]?.ownership[relationship]
            let epoch = max(record?.epoch ?? 0, store.epoch)
            let paths = try check(disks, state)
            if store.adoptedAtEpoch == epoch && store.adopted == paths { return }
            store.adopted = paths
            store.adoptedAtEpoch = epoch
            store.disks = disks.map { DiskGeometry(target: $0.target, size: $0.size) }
            (store.epoch, store.owner) = (epoch, record?.owner ?? store.owner)
            // Points of the earlier direction are points no more; their files stay until a new point is whole.
            store.layers = []
            store.boots = [:]
            state.hosts[host]?.stores[relationship] = store
        }
    }

    package func settleDisks(relationship: String, disks: [AdoptedDisk]) async throws {
        try await act("settle-disks", relationship) { state, _ in
            guard var store = state.hosts[host]?.stores[relationship], let current = state.hosts[host] else { return }
            let paths = try check(disks, state)
            let peerHolds = state.hosts.values.contains { peer in
                peer.name != host && peer.stores[relationship]?.newest != nil
            }
            if !peerHolds { state.violate("the last good copy of \(store.vm.name) is given up") }
            let needed = Set(paths.values.flatMap { current.chain($0) })
            let prefix = state.place(relationship, "", at: host)
            for path in current.files.keys.sorted() where path.hasPrefix(prefix) && !needed.contains(path) {
                if current.isOpen(path) { state.violate("the disk of a running VM is thrown away: \(path)") }
                state.hosts[host]?.remove(path)
            }
            store.adopted = paths
            store.adoptedAtEpoch = store.epoch
            store.layers = []
            store.boots = [:]
            store.retired = []
            state.hosts[host]?.stores[relationship] = store
        }
    }

    private func check(_ disks: [AdoptedDisk], _ state: WorldState) throws -> [String: String] {
        guard !disks.isEmpty, Set(disks.map(\.target)).count == disks.count else {
            throw ReplicationError(
                .invalidArgument, "a VM has at least one disk and each disk once", hint: "correct the list of disks")
        }
        for disk in disks {
            guard ["qcow2", "raw"].contains(disk.image.format) else {
                throw ReplicationError(
                    .unsupported, "disk \(disk.target) is of format \(disk.image.format)",
                    hint: "convert the disk to qcow2 or raw")
            }
            guard state.hosts[host]?.files[disk.image.path] != nil else {
                throw ReplicationError(
                    .notFound, "\(disk.image.path) does not exist at \(host)", hint: "restore it from its copy")
            }
        }
        return Dictionary(uniqueKeysWithValues: disks.map { ($0.target, $0.image.path) })
    }
}
