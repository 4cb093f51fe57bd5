@testable import BlockReplication
import Foundation
import Glibc
import Testing

@Suite("The folders of exports")
struct ExportFolderTests {
    @Test("The socket of an export goes once nobody serves it, and only from the store's own folder")
    func sockets() throws {
        let store = "/tmp/perilune-export-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: store) }
        try ExportFolders.make(in: store)
        let (own, other) = ("\(store)/sockets/1.sock", "\(store)/other.sock")
        let (server, stranger) = (try listen(at: own), try listen(at: other))

        ExportFolders.removeSocket(own, in: store)
        #expect(access(own, F_OK) == 0, "somebody serves it")
        close(server)
        close(stranger)
        // A child that another test has begun holds a copy of the descriptor until it is the program that it is to be.
        for _ in 0..<600 where access(own, F_OK) == 0 {
            ExportFolders.removeSocket(own, in: store)
            if access(own, F_OK) == 0 { usleep(100_000) }
        }
        #expect(access(own, F_OK) != 0)
        for path in [other, "\(store)/sockets/../other.sock"] { ExportFolders.removeSocket(path, in: store) }
        #expect(access(other, F_OK) == 0)
    }

    @Test("A socket that is still served when its reader lets go is removed once nobody serves it any more")
    func later() async throws {
        try await TwoSites.with { sites in
            let path = sites.file("a/store/sockets/1.sock")
            let server = try listen(at: path)
            Thread.detachNewThread {
                while case let peer = accept(server, nil, nil), peer >= 0 { close(peer) }
                close(server)
            }
            let disk = SourceDisk(
                target: "vda", size: 1 << 20, from: .export(socket: path, name: ""), extents: .everything)
            let ticket = try await sites.open(TwoSites.generation(1), after: nil, [disk])
            await #expect(throws: (any Error).self) {
                _ = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [disk])) { _ in }
            }
            #expect(access(path, F_OK) == 0, "somebody serves it")
            shutdown(server, Int32(SHUT_RDWR))
            #expect(await eventually { access(path, F_OK) != 0 })
        }
    }

    private func listen(at path: String) throws -> Int32 {
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0 && Glibc.listen(socket, 8) == 0)
        return socket
    }
}
