import COpenSSL
import Foundation
package import SiteModel

/// An authority of the operator's own, in a folder: it vouches for agents.
package struct CertificateAuthority: Sendable {
    /// How long a new authority's certificate lasts.
    package static let days = 3650
    /// How long an agent's lasts when nothing else is asked for.
    package static let agentDays = 365
    /// The longest that an agent's may last.
    package static let longestDays = 3650

    package let folder: String
    package var certificatePath: String { folder + "/authority.pem" }
    package var keyPath: String { folder + "/authority.key" }

    /// Names an authority's folder; nothing is read yet.
    package init(folder: String) {
        self.folder = folder
    }

    /// Makes the authority: a key that only this user can read, and its certificate.
    ///
    /// Returns when the certificate ends. A key without a certificate, as one that was cut off leaves it, gets its certificate.
    /// Errors: `busy` when there is one already.
    package func create(named name: String = "Perilune agents", from: Timestamp, days: Int = days) throws -> Timestamp {
        if access(certificatePath, F_OK) == 0 {
            throw ReplicationError(
                .busy, "there is an authority in \(folder) already",
                hint: "issue certificates with it; name another folder for another authority, whose agents trust no"
                    + " other's", context: ["path": folder])
        }
        if access(folder, F_OK) != 0 { try makeFolder(folder) }
        let isLeft = access(keyPath, F_OK) == 0
        if isLeft { try checkKeyIsPrivate() }
        let key = try isLeft ? Key(reading: keyPath) : Key.new()
        let draft = try CertificateDraft(
            name: name, from: from, until: from.adding(days: days), key: key, issuer: nil, issuerKey: key)
        try draft.extend(NID_basic_constraints, "critical,CA:TRUE,pathlen:0")
        try draft.extend(NID_key_usage, "critical,keyCertSign,cRLSign")
        try draft.extend(NID_subject_key_identifier, "hash")
        let certificate = try draft.signed()
        if !isLeft { try writeSecret(key.text(), to: keyPath) }
        // Last: what has a certificate is whole.
        try writeSecret(certificate, to: certificatePath)
        return from.adding(days: days)
    }

    /// Makes a key and a certificate for a host of these names or numbers, in one file for its agent; returns when it ends.
    ///
    /// A file that is there is replaced in one step. No certificate outlasts the authority's.
    package func issue(
        for hosts: [String], to path: String, from: Timestamp, days: Int = agentDays
    ) throws -> Timestamp {
        guard let first = hosts.first, (1...Self.longestDays).contains(days) else {
            throw ReplicationError(
                .invalidArgument, "a certificate is for at least one host, and for 1 to \(Self.longestDays) days",
                hint: "name the host as other agents reach it")
        }
        for host in hosts where !EndpointNames.isHost(host) || host.utf8.count > 64 {
            throw ReplicationError(
                .invalidArgument, "'\(host.prefix(80))' is no host name or address",
                hint: "name the host as in the address that its agent listens on, without the port")
        }
        let authority = try read()
        guard authority.until > from else {
            throw ReplicationError(
                .invalidArgument, "the authority in \(folder) has expired",
                hint: "make another (perilune authority create) and issue all agents' certificates with it anew")
        }
        let until = min(from.adding(days: days), authority.until)
        let key = try Key.new()
        let draft = try CertificateDraft(
            name: first, from: from, until: until, key: key, issuer: authority.certificate, issuerKey: authority.key)
        try draft.extend(NID_basic_constraints, "critical,CA:FALSE")
        try draft.extend(NID_key_usage, "critical,digitalSignature")
        try draft.extend(NID_ext_key_usage, "serverAuth,clientAuth")
        try draft.extend(NID_subject_key_identifier, "hash")
        try draft.extend(NID_authority_key_identifier, "keyid:always")
        try draft.extend(
            NID_subject_alt_name, hosts.map { "\(Self.isNumber($0) ? "IP" : "DNS"):\($0)" }.joined(separator: ","))
        try writeSecret(key.text() + draft.signed() + authority.text, to: path)
        return until
    }

    private static func isNumber(_ host: String) -> Bool {
        guard let address = a2i_IPADDRESS(host) else {
            ERR_clear_error()
            return false
        }
        ASN1_OCTET_STRING_free(address)
        return true
    }

    private func read() throws -> Authority {
        var status = stat()
        guard stat(keyPath, &status) == 0 else {
            throw ReplicationError(
                .notFound, "there is no authority in \(folder)",
                hint: "make one: perilune authority create --authority \(folder)",
                context: ["path": folder])
        }
        try checkKeyIsPrivate()
        return try Authority(certificate: certificatePath, key: keyPath)
    }

    private func checkKeyIsPrivate() throws {
        var status = stat()
        guard stat(keyPath, &status) == 0, status.st_mode & 0o077 == 0 else {
            throw ReplicationError(
                .notAuthorized, "the authority's key \(keyPath) could be read by others",
                hint: "chmod 600 \(keyPath); if others may have read it, make a new authority",
                context: ["path": keyPath])
        }
    }
}

/// An authority's certificate and key, in memory.
private final class Authority {
    let certificate: OpaquePointer
    let key: Key
    let text: [UInt8]
    let until: Timestamp

    init(certificate path: String, key keyPath: String) throws {
        text = [UInt8](try Data(contentsOf: URL(filePath: path)))
        guard
            let certificate = text.withUnsafeBytes({ bytes in
                let memory = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count))
                defer { BIO_free(memory) }
                return PEM_read_bio_X509(memory, nil, nil, nil)
            }),
            let key = try? Key(reading: keyPath), X509_check_private_key(certificate, key.pointer) == 1,
            let facts = CertificateWords.facts(certificate, protocolVersion: "")
        else {
            ERR_clear_error()
            throw ReplicationError(
                .damaged, "\(path) and \(keyPath) are no authority's certificate and key",
                hint: "take them back from a copy, or make another authority in another folder")
        }
        self.certificate = certificate
        self.key = key
        until = facts.validUntil
    }

    deinit { X509_free(certificate) }
}

/// A private key.
private final class Key {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    init(reading path: String) throws {
        let text = [UInt8](try Data(contentsOf: URL(filePath: path)))
        let key = text.withUnsafeBytes { bytes in
            let memory = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count))
            defer { BIO_free(memory) }
            return PEM_read_bio_PrivateKey(memory, nil, { _, _, _, _ in -1 }, nil)
        }
        guard let key else {
            ERR_clear_error()
            throw ReplicationError(
                .damaged, "\(path) is no private key",
                hint: "take it back from a copy, or move it away and make the authority anew")
        }
        pointer = key
    }

    static func new() throws -> Key {
        guard let key = copenssl_new_key() else { throw TLSFailure.making("a key") }
        return Key(key)
    }

    deinit { EVP_PKEY_free(pointer) }

    func text() throws -> [UInt8] {
        try TLSFailure.pem { PEM_write_bio_PrivateKey($0, pointer, nil, nil, 0, nil, nil) }
    }
}

/// A certificate in the making.
private final class CertificateDraft {
    private let certificate: OpaquePointer
    private let issuer: OpaquePointer?
    private let issuerKey: Key

    init(
        name: String, from: Timestamp, until: Timestamp, key: Key, issuer: OpaquePointer?, issuerKey: Key
    ) throws {
        guard let certificate = X509_new() else { throw TLSFailure.making("a certificate") }
        self.certificate = certificate
        self.issuer = issuer
        self.issuerKey = issuerKey
        // Positive, and never one that was used before.
        var serial = randomBytes(16)
        serial[0] = serial[0] & 0x7F | 0x40
        let number = BN_bin2bn(serial, Int32(serial.count), nil)
        defer { BN_free(number) }
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate))
        let subject = X509_get_subject_name(certificate)
        // Clocks of hosts differ a little: an hour of them does not make a new certificate useless.
        let good =
            X509_set_version(certificate, 2) == 1
            && ASN1_TIME_set(X509_getm_notBefore(certificate), time_t(from.milliseconds / 1000 - 3600)) != nil
            && ASN1_TIME_set(X509_getm_notAfter(certificate), time_t(until.milliseconds / 1000)) != nil
            && X509_NAME_add_entry_by_NID(
                subject, NID_commonName, 0x1000, Array(name.utf8), Int32(name.utf8.count), -1, 0) == 1
            && X509_set_issuer_name(certificate, X509_get_subject_name(issuer ?? certificate)) == 1
            && X509_set_pubkey(certificate, key.pointer) == 1
        guard good else { throw TLSFailure.making("a certificate") }
    }

    deinit { X509_free(certificate) }

    /// Adds an extension, in OpenSSL's words (x509v3_config(5)).
    func extend(_ kind: Int32, _ value: String) throws {
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, issuer ?? certificate, certificate, nil, nil, 0)
        guard let added = X509V3_EXT_conf_nid(nil, &context, kind, value) else {
            throw TLSFailure.making("a certificate")
        }
        defer { X509_EXTENSION_free(added) }
        guard X509_add_ext(certificate, added, -1) == 1 else { throw TLSFailure.making("a certificate") }
    }

    func signed() throws -> [UInt8] {
        guard X509_sign(certificate, issuerKey.pointer, EVP_sha256()) > 0 else {
            throw TLSFailure.making("a certificate")
        }
        return try TLSFailure.pem { PEM_write_bio_X509($0, certificate) }
    }
}

extension TLSFailure {
    fileprivate static func making(_ what: String) -> ReplicationError {
        ReplicationError(
            .io, "\(what) cannot be made: \(lastWords)", hint: "check the installation of OpenSSL (libssl3)")
    }

    /// What `write` puts into memory.
    fileprivate static func pem(_ write: (OpaquePointer) -> Int32) throws -> [UInt8] {
        guard let memory = BIO_new(BIO_s_mem()) else { throw noMemory }
        defer { BIO_free(memory) }
        guard write(memory) == 1 else { throw making("a PEM text") }
        var text = [UInt8](repeating: 0, count: 64 << 10)
        let count = BIO_read(memory, &text, Int32(text.count))
        return Array(text.prefix(Int(max(0, count))))
    }
}

extension Timestamp {
    fileprivate func adding(days: Int) -> Timestamp {
        Timestamp(milliseconds: milliseconds + Int64(days) * 86_400_000)
    }
}

/// Writes a file that this user alone can read, whatever lies about of an earlier attempt.
private func writeSecret(_ bytes: [UInt8], to path: String) throws {
    unlink(path + ".part")
    try replaceFile(path, with: Data(bytes))
}
