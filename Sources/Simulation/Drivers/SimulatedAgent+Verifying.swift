package import BlockReplication
package import SiteModel

extension SimulatedAgent {
    package func checkPoints(
        _ request: CheckPoints, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> CheckedPoints {
        let began = world.clock.now
        // Reading takes its time, whatever comes of it.
        let bytes = try await act("check-points", request.relationship) { state, _ in
            guard let store = state.hosts[host]?.stores[request.relationship] else {
                throw noStore(request.relationship)
            }
            let wanted = request.generations.map(Set.init)
            return store.points.filter { wanted?.contains($0.generation) ?? true }.flatMap(\.files.values)
                .reduce(UInt64(0)) { $0 + (state.hosts[host]?.files[$1]?.extents.byteCount ?? 0) }
        }
        let speed = world.look { $0.hosts[host]?.speeds.readBytesPerSecond ?? 1 }
        do { try await world.clock.sleep(seconds: Double(bytes) / speed) } catch {
            throw ReplicationError(.cancelled, "the check was given up", hint: "begin it again")
        }
        return try await actOnStore("check-points-end", request.relationship) { store, state, now in
            if let replacement = request.replacedBy,
                let index = store.layers.lastIndex(where: { $0.generation == replacement }), index > 0
            {
                let disks = store.layers[index].files.sorted { $0.key < $1.key }.compactMap { target, path in
                    state.hosts[host]?.files[path].flatMap { file in
                        file.extents.ranges.isEmpty
                            ? nil
                            : DamagedDisk(
                                target: target, bytes: file.extents.byteCount,
                                ranges: file.extents.ranges.prefix(DamagedDisk.rangeLimit).map {
                                    [$0.offset, $0.length]
                                })
                    }
                }
                store.layers[index - 1].summary.damage = PointDamage(cause: .differs, at: now, disks: disks)
            }
            let wanted = request.generations.map(Set.init) ?? Set(store.points.map(\.generation))
            for index in store.layers.indices where request.replacedBy == nil {
                let layer = store.layers[index]
                guard layer.isPoint, wanted.contains(layer.generation) else { continue }
                let altered = layer.files.sorted { $0.key < $1.key }.compactMap { target, path in
                    state.alteredFiles.contains("\(host) \(path)")
                        ? DamagedDisk(target: target, bytes: 4096, ranges: [[0, 4096]]) : nil
                }
                if altered.isEmpty {
                    store.layers[index].summary.checkedAt = now
                } else {
                    store.layers[index].summary.damage = PointDamage(cause: .altered, at: now, disks: altered)
                }
            }
            return CheckedPoints(
                points: store.points.map(\.summary), bytes: bytes, unrecorded: [:],
                seconds: now.seconds(since: began))
        }
    }

    package func divergence(_ request: DivergenceRequest) async throws -> Divergence? {
        try await act("divergence", request.relationship) { state, _ in
            guard let store = state.hosts[host]?.stores[request.relationship] else { return nil }
            switch request.action {
            case .list: return store.divergence?.list
            case .discard:
                state.hosts[host]?.stores[request.relationship]?.divergence = nil
                return nil
            case .export(let folder):
                guard var list = store.divergence?.list else { return nil }
                list.disks = list.disks.map { disk in
                    var disk = disk
                    disk.exported = "\(folder)/\(disk.target).raw"
                    return disk
                }
                return list
            case .note(let epoch, let at, let ranges):
                if let known = store.divergence, known.epoch == epoch { return known.list }
                guard !store.adopted.isEmpty else { return nil }
                let disks = store.adopted.sorted { $0.key < $1.key }.compactMap { target, path -> DivergedDisk? in
                    let list = ranges?[target] ?? []
                    guard ranges == nil || !list.isEmpty else { return nil }
                    return DivergedDisk(
                        target: target,
                        image: DiskImage(path: path, format: state.hosts[host]?.files[path]?.format ?? "raw"),
                        bytes: list.reduce(0) { $0 + $1.length }, ranges: Array(list.prefix(1000)), count: list.count)
                }
                guard !disks.isEmpty else { return nil }
                let list = Divergence(at: at, isExact: ranges != nil, disks: disks)
                state.hosts[host]?.stores[request.relationship]?.divergence = (epoch, list)
                return list
            }
        }
    }
}
