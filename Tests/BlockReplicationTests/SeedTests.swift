import Foundation
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("Address data for guests")
struct SeedTests {
    /// Reads a file as ECMA-119 says, by the volume descriptor and the root folder.
    private func read(_ name: String, in image: Data) -> String? {
        let bytes = [UInt8](image)
        func little32(_ at: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << ($1 * 8) } }
        func big32(_ at: Int) -> Int { (0..<4).reduce(0) { $0 << 8 | Int(bytes[at + $1]) } }
        let volume = 16 * 2048
        guard bytes[volume] == 1, String(decoding: bytes[volume + 1..<volume + 6], as: UTF8.self) == "CD001",
            String(decoding: bytes[volume + 40..<volume + 46], as: UTF8.self) == "CIDATA",
            little32(volume + 80) * 2048 == bytes.count, bytes[17 * 2048] == 255
        else { return nil }
        let root = volume + 156
        #expect(little32(root + 2) == big32(root + 6))
        var at = little32(root + 2) * 2048
        while bytes[at] != 0 {
            let length = Int(bytes[at + 32])
            if String(decoding: bytes[at + 33..<at + 33 + length], as: UTF8.self) == name {
                let (start, size) = (little32(at + 2) * 2048, little32(at + 10))
                return String(decoding: bytes[start..<start + size], as: UTF8.self)
            }
            at += Int(bytes[at])
        }
        return nil
    }

    @Test("Files of any size up to the limit are found by their names, and equal files make equal images")
    func image() throws {
        let files = [
            "meta-data": "instance-id: x\n", "user-data": "", "network-config": String(repeating: "é", count: 3000),
        ]
        let image = try SeedImage.bytes(files)
        #expect(image.count % 2048 == 0)
        #expect(try SeedImage.bytes(files) == image)
        for (name, text) in files { #expect(read(name.uppercased() + ";1", in: image) == text) }
        #expect(read("ELSE;1", in: image) == nil)
    }

    @Test(
        "Names and sizes without a place are refused",
        arguments: [
            ["Upper": ""], ["../up": ""], ["": ""], ["x": String(repeating: "x", count: 70_000)],
            Dictionary(uniqueKeysWithValues: (0..<17).map { ("f\($0)", "") }),
        ])
    func refused(files: [String: String]) {
        #expect(throws: ReplicationError.self) { try SeedImage.bytes(files) }
    }

    @Test("A test's data goes with its disks, an owner's newest data stays, and forgetting takes all")
    func agent() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let folder = scratch.path
        let agent = try AgentService(site: "b", store: folder, address: "127.0.0.1:1")
        func write(_ relationship: String, _ epoch: Int) async throws -> String {
            try await agent.writeSeed(GuestSeed(relationship: relationship, epoch: epoch, files: ["meta-data": "m"]))
        }
        func names() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: folder + "/seeds").sorted()
        }
        let path = try await write("r-1", 0)
        #expect(FileManager.default.fileExists(atPath: path))
        for epoch in [2, 2, 3] { _ = try await write("r-1", epoch) }
        _ = try await write("r-12", 0)
        #expect(try names() == ["r-1-e0.iso", "r-1-e3.iso", "r-12-e0.iso"])
        for _ in 1...2 { try await agent.discardBootImages(relationship: "r-1", epoch: 0) }
        #expect(try names() == ["r-1-e3.iso", "r-12-e0.iso"])
        try await agent.forget(relationship: "r-1")
        #expect(try names() == ["r-12-e0.iso"])
        await #expect(throws: ReplicationError.self) { try await write("../r", 0) }
    }
}
