// The settings of an embedded cluster. The file is written again at every start; what an operator sets with ALTER SYSTEM wins.
import Foundation

/// The configuration files that Stoa writes into a cluster.
struct ClusterSettings: Sendable {
    let socketDirectory: String
    /// The user of the operating system who may be stoa_owner, stoa_app and stoa_auditor here, and nobody else.
    let operatorName: String

    /// Two nodes' pools, the CLI's commands and a person with psql, with room to spare. Each costs about 2 MB when used.
    static let connectionsMax = 60

    /// Sized for two cores and a small memory; safe rather than fast where the two differ.
    var postgres: String {
        """
        # Written by Stoa at every start. Your own settings: ALTER SYSTEM SET …, which wins over this file.
        listen_addresses = ''
        port = \(ClusterPlace.port)
        unix_socket_directories = '\(socketDirectory.replacingOccurrences(of: "'", with: "''"))'
        unix_socket_permissions = 0700
        max_connections = \(Self.connectionsMax)

        # What is acknowledged survives a power cut.
        fsync = on
        full_page_writes = on
        synchronous_commit = on
        wal_level = replica
        wal_compression = on
        max_wal_size = 1GB
        checkpoint_timeout = 15min

        shared_buffers = 128MB
        work_mem = 4MB
        maintenance_work_mem = 64MB
        effective_cache_size = 512MB
        random_page_cost = 1.1
        jit = off

        # A week of logs, one file a day. Statements and details stay out: they can hold personal data.
        logging_collector = on
        log_directory = 'log'
        log_filename = 'postgres-%a.log'
        log_rotation_age = 1d
        log_rotation_size = 0
        log_truncate_on_rotation = on
        log_line_prefix = '%m [%p] %u@%d '
        log_error_verbosity = terse
        log_min_error_statement = panic
        log_checkpoints = off
        timezone = 'UTC'
        log_timezone = 'UTC'

        """
    }

    /// Peer: the kernel says who is at the other end of the socket, so there is no password to keep.
    var hostBasedAuthentication: String {
        """
        # Written by Stoa at every start. No network, no password: the operating system says who connects.
        local all         postgres,stoa_owner,stoa_app,stoa_auditor peer map=stoa
        local replication postgres                                  peer map=stoa

        """
    }

    var identities: String {
        let name = "\"" + operatorName.replacingOccurrences(of: "\"", with: "\"\"") + "\""
        let roles = ["postgres", "stoa_owner", "stoa_app", "stoa_auditor"]
        return "# Written by Stoa at every start: who started it may be each of its roles.\n"
            + roles.map { "stoa \(name) \($0)\n" }.joined()
    }

    /// Puts the files into a cluster and makes its postgresql.conf read them.
    func write(toCluster data: String, user: ClusterUser) throws {
        try user.write(postgres, to: data + "/stoa.conf")
        try user.write(hostBasedAuthentication, to: data + "/pg_hba.conf")
        try user.write(identities, to: data + "/pg_ident.conf")
        let main = data + "/postgresql.conf"
        let text = try String(contentsOfFile: main, encoding: .utf8)
        if !text.contains("include 'stoa.conf'") {
            try user.write(text + "\ninclude 'stoa.conf'\n", to: main)
        }
    }
}
