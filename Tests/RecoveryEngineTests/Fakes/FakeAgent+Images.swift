import BlockReplication
import Hypervisors
import SiteModel

extension FakeAgent {
    func createBootImages(relationship: String, generation: String, epoch: Int) async throws -> [BootImage] {
        try await act("create-boot", relationship) { store, state in
            if let boot = store.boots[epoch] {
                guard boot.generation == generation else {
                    throw ReplicationError(.busy, "epoch \(epoch) stands on another point", hint: "discard it")
                }
                return boot.images
            }
            guard let point = store.points.first(where: { $0.summary.generation == generation }) else {
                throw ReplicationError(.notFound, "no point \(generation)", hint: "ask which there are")
            }
            // The whole chain is named, down to what lies beneath a disk that the VM had before it was protected.
            let images = point.content.keys.sorted().map { target in
                let path = "/store/points/\(relationship)/boot-\(epoch)-\(target).img"
                state.hosts[host]?.files[path] = FakeFile(
                    blocks: [:], backing: pointPath(relationship, generation, target))
                let size = state.hosts[host]?.files[pointPath(relationship, generation, target)]?.size
                if let size { state.hosts[host]?.files[path]?.size = size }
                return BootImage(
                    target: target, chain: state.chain(path, at: host).map { state.image($0, at: host) }, size: size)
            }
            store.boots[epoch] = FakeBoot(generation: generation, images: images)
            return images
        }
    }

    func firmware(_ place: FirmwarePlace) async throws -> FirmwareState {
        try look { $0.firmware[place.vmUUID] ?? FirmwareState(files: []) }
    }

    func placeFirmware(_ request: FirmwarePlacement) async throws -> PlacedFirmware {
        try await act("place-firmware", request.relationship) { store, state in
            let point = store.points.first { $0.summary.generation == request.generation }
            if point?.firmware?.files.isEmpty == true {
                throw ReplicationError(.damaged, "the firmware state of the point is damaged", hint: "take another")
            }
            guard let firmware = point?.firmware, request.onlyChecks != true else { return PlacedFirmware() }
            if state.hosts[host]?.domains[request.vmUUID]?.power.isActive == true {
                state.violate("the firmware state of a running VM is replaced")
            }
            state.hosts[host]?.firmware[request.vmUUID] = firmware
            return PlacedFirmware(nvram: "/nvram/perilune-\(request.vmUUID)_VARS.fd", hasTPM: true)
        }
    }

    func writeSeed(_ seed: GuestSeed) async throws -> String {
        let path = "/store/seeds/\(seed.relationship)-e\(seed.epoch).iso"
        _ = try SeedImage.bytes(seed.files)
        return try await act("write-seed", seed.relationship) { store, state in
            store.seeds[seed.epoch] = seed.files
            state.hosts[host]?.files[path] = FakeFile(blocks: [:])
            return path
        }
    }

    func discardBootImages(relationship: String, epoch: Int) async throws {
        try await act("discard-boot", relationship) { store, state in
            for image in store.boots[epoch]?.images ?? [] {
                if state.standsUnderARunningVM(image.chain[0].path, at: host) {
                    state.violate("the disk of a running VM is thrown away")
                }
                state.hosts[host]?.files[image.chain[0].path] = nil
            }
            store.boots[epoch] = nil
            if store.seeds.removeValue(forKey: epoch) != nil {
                let path = "/store/seeds/\(relationship)-e\(epoch).iso"
                if state.standsUnderARunningVM(path, at: host) {
                    state.violate("the drive of a running VM is thrown away")
                }
                state.hosts[host]?.files[path] = nil
            }
        }
    }

    func adoptDisks(relationship: String, vm: VMIdentity, disks: [AdoptedDisk]) async throws {
        try await act("adopt-disks", relationship) { store, state in
            var base: [String: Blocks] = [:]
            for disk in disks {
                guard let content = state.content(disk.image.path, at: host) else {
                    throw ReplicationError(.notFound, "no file \(disk.image.path)", hint: "restore it")
                }
                if state.isInUse(disk.image.path, at: host) {
                    throw ReplicationError(.busy, "\(disk.image.path) is in use", hint: "stop the VM")
                }
                base[disk.target] = content
                store.sizes[disk.target] = state.hosts[host]?.files[disk.image.path]?.size
            }
            store.base = base
            store.basePaths = Dictionary(uniqueKeysWithValues: disks.map { ($0.target, $0.image.path) })
            store.boots = [:]
            store.points = []
            store.retired = []
            store.draft = nil
        }
    }

    func settleDisks(relationship: String, disks: [AdoptedDisk]) async throws {
        try await act("settle-disks", relationship) { store, state in
            for disk in disks where state.hosts[host]?.files[disk.image.path] == nil {
                throw ReplicationError(.notFound, "no file \(disk.image.path)", hint: "restore it")
            }
            if !state.peerHolds(relationship, besides: host) { state.violate("the last good copy is given up") }
            state.removeFiles(of: relationship, besides: disks.map(\.image.path), at: host)
            store.base = [:]
            store.basePaths = [:]
            store.points = []
            store.retired = []
            store.boots = [:]
        }
    }
}

extension WorldState {
    /// A file as a chain names it: the lowest one of a chain of points is raw.
    fileprivate func image(_ path: String, at host: String) -> DiskImage {
        let isFirstPoint = path.hasPrefix("/store/") && hosts[host]?.files[path]?.backing == nil
        return DiskImage(path: path, format: isFirstPoint ? "raw" : "qcow2")
    }
}
