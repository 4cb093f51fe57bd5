import Foundation
import Glibc

/// The disks of a machine whose processor stands still, written and read through its own virtio devices.
///
/// QEMU's qtest socket reads and writes the machine's ports and memory; what is done here is what a driver in a guest does
/// (virtio 1.0, section 4.1.4.8, the legacy interface). So writes take a guest's way: QEMU's own error policy, its change
/// maps and its backups see them as they see a guest's. Not to be used from two threads at once.
final class VirtioBlocks {
    /// The machine did not answer any more: its QEMU has ended.
    struct Gone: Error {}

    /// A device refused: what a guest would see as an error of its disk.
    struct Refused: Error, CustomStringConvertible {
        let disk: Int
        let status: UInt8
        var description: String { "disk \(disk) answered status \(status)" }
    }

    /// Where the machine's memory is used for what.
    private enum Memory {
        static func ring(_ disk: Int) -> Int { 0x10_0000 + disk * 0x1_0000 }
        static func status(_ disk: Int) -> Int { 0x20_0000 + disk * 0x10 }
        static let data = 0x30_0000
        /// Just before the data, so that both are sent in one piece.
        static let header = data - 16
    }

    /// The most that one request carries.
    static let mostBytes = 1 << 20

    private let socket: Int32
    private var unread: [UInt8] = []
    private var ports: [Int] = []
    private var sent: [UInt16] = []

    /// Connects to a machine and makes its block devices ready.
    ///
    /// - Parameter sizes: of the disks in bytes, in the order of the devices; what the devices say must agree.
    init(path: String, sizes: [Int]) throws {
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw Gone() }
        var limit = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard connected else { throw Gone() }
        try findDevices()
        guard ports.count == sizes.count else { throw Refused(disk: ports.count, status: 0xFF) }
        for disk in sizes.indices { try prepare(disk, bytes: sizes[disk]) }
    }

    deinit { close(socket) }

    /// Writes and makes sure that it stays: returns once the device has flushed.
    func write(_ bytes: [UInt8], disk: Int, at offset: Int) throws {
        try request(1, disk: disk, sector: offset / 512, payload: bytes, length: bytes.count)
        try request(4, disk: disk, sector: 0, payload: [], length: 0)
    }

    /// Makes zeros, whose space may be given back, and flushes.
    func writeZeros(_ count: Int, disk: Int, at offset: Int) throws {
        var order: [UInt8] = []
        withUnsafeBytes(of: UInt64(offset / 512).littleEndian) { order += $0 }
        withUnsafeBytes(of: UInt32(count / 512).littleEndian) { order += $0 }
        withUnsafeBytes(of: UInt32(1).littleEndian) { order += $0 }
        try request(13, disk: disk, sector: 0, payload: order, length: order.count)
        try request(4, disk: disk, sector: 0, payload: [], length: 0)
    }

    func read(_ count: Int, disk: Int, at offset: Int) throws -> [UInt8] {
        try request(0, disk: disk, sector: offset / 512, payload: [], length: count)
        let answer = try command("b64read \(Memory.data) \(count)")
        guard let data = Data(base64Encoded: answer), data.count == count else { throw Gone() }
        return [UInt8](data)
    }

    // MARK: - The device

    /// Finds the virtio disks (vendor 1af4, device 1001) on the first bus, and gives each a range of ports.
    private func findDevices() throws {
        for slot in 0..<32 {
            guard try configuration(slot, 0) == 0x1001_1AF4 else { continue }
            let port = 0xC000 + ports.count * 0x100
            try setConfiguration(slot, 0x10, port)
            // Ports, and access to memory.
            try setConfiguration(slot, 0x04, 0x5)
            ports.append(port)
        }
    }

    private func prepare(_ disk: Int, bytes: Int) throws {
        let port = ports[disk]
        try command("outb \(port + 18) 0")
        try command("outb \(port + 18) 3")
        let offered = try number("inl \(port)")
        // Flush, and making zeros.
        try command("outl \(port + 4) \(offered & (1 << 9 | 1 << 14))")
        try command("outw \(port + 14) 0")
        guard try number("inw \(port + 12)") == 256 else { throw Refused(disk: disk, status: 0xFE) }
        // Nothing of a driver before this one.
        try command("memset \(Memory.ring(disk)) 12288 0")
        try command("outl \(port + 8) \(Memory.ring(disk) >> 12)")
        try command("outb \(port + 18) 7")
        let sectors = try number("inl \(port + 20)") | number("inl \(port + 24)") << 32
        guard sectors * 512 == bytes else { throw Refused(disk: disk, status: 0xFD) }
        sent.append(0)
    }

    private func request(_ type: UInt32, disk: Int, sector: Int, payload: [UInt8], length: Int) throws {
        let (port, ring) = (ports[disk], Memory.ring(disk))
        var descriptors: [UInt8] = []
        func describe(_ address: Int, _ count: Int, flags: UInt16, next: UInt16) {
            withUnsafeBytes(of: UInt64(address).littleEndian) { descriptors += $0 }
            withUnsafeBytes(of: UInt32(count).littleEndian) { descriptors += $0 }
            withUnsafeBytes(of: flags.littleEndian) { descriptors += $0 }
            withUnsafeBytes(of: next.littleEndian) { descriptors += $0 }
        }
        describe(Memory.header, 16, flags: 1, next: length > 0 ? 1 : 2)
        describe(Memory.data, length, flags: type == 0 ? 3 : 1, next: 2)
        describe(Memory.status(disk), 1, flags: 2, next: 0)
        var header: [UInt8] = []
        withUnsafeBytes(of: type.littleEndian) { header += $0 }
        header += [0, 0, 0, 0]
        withUnsafeBytes(of: UInt64(sector).littleEndian) { header += $0 }
        let body = header + payload
        sent[disk] &+= 1
        // The ring's places hold number 0 always: one request is under way at a time.
        try commands([
            "b64write \(ring) \(descriptors.count) \(Data(descriptors).base64EncodedString())",
            "b64write \(Memory.header) \(body.count) \(Data(body).base64EncodedString())",
            "writeb \(Memory.status(disk)) 255", "writew \(ring + 4096 + 2) \(sent[disk])", "outw \(port + 16) 0",
        ])
        while try number("readw \(ring + 8192 + 2)") != Int(sent[disk]) { usleep(100) }
        let status = UInt8(truncatingIfNeeded: try number("readb \(Memory.status(disk))"))
        guard status == 0 else { throw Refused(disk: disk, status: status) }
    }

    private func configuration(_ slot: Int, _ register: Int) throws -> Int {
        try command("outl 0xcf8 \(0x8000_0000 | slot << 11 | register)")
        return try number("inl 0xcfc")
    }

    private func setConfiguration(_ slot: Int, _ register: Int, _ value: Int) throws {
        try command("outl 0xcf8 \(0x8000_0000 | slot << 11 | register)")
        try command("outl 0xcfc \(value)")
    }

    // MARK: - The socket

    private func number(_ text: String) throws -> Int {
        let answer = try command(text)
        guard let value = Int(answer.hasPrefix("0x") ? String(answer.dropFirst(2)) : answer, radix: 16) else {
            throw Gone()
        }
        return value
    }

    @discardableResult
    private func command(_ text: String) throws -> String { try commands([text])[0] }

    /// Sends commands in one piece and takes their answers, each "OK" and perhaps a value.
    @discardableResult
    private func commands(_ lines: [String]) throws -> [String] {
        let bytes = Array((lines.joined(separator: "\n") + "\n").utf8)
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                send(socket, buffer.baseAddress?.advanced(by: offset), bytes.count - offset, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Gone() }
            offset += count
        }
        return try lines.map { line in
            let answer = try self.line()
            guard answer.hasPrefix("OK") else {
                throw Refused(disk: Int(line.utf8.count), status: 0xFC)
            }
            return answer.dropFirst(2).trimmingCharacters(in: .whitespaces)
        }
    }

    private func line() throws -> String {
        while true {
            if let end = unread.firstIndex(of: 0x0A) {
                let text = String(decoding: unread[..<end], as: UTF8.self)
                unread.removeSubrange(...end)
                return text
            }
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count > 0 else { throw Gone() }
            unread += buffer.prefix(count)
        }
    }
}
