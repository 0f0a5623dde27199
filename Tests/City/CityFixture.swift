// A small city for tests: organisations with purposes, residents with sealed data and accounts, staff, and credentials of every
// kind. It is written with the owner's role, straight into the tables; what is tested then runs with the app's role.
public import Foundation
public import Postgres
public import Primitives
public import Register
public import TestSupport
public import Web

/// A credential with its secret: the database knows only the hash.
public struct FixtureCredential: Sendable, Hashable {
    public let token: String

    public init() {
        token = (0..<43).map { _ in String(tokenAlphabet.randomElement() ?? "a") }.joined()
    }

    public var hash: CredentialHash { CredentialHash(token: token) }
}

private let tokenAlphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

/// One value a row, for questions that a test asks once.
public struct OneValue<Value: ColumnDecodable & Sendable>: Query {
    public let sql: SQL

    public init(_ sql: SQL, of type: Value.Type = Value.self) {
        self.sql = sql
    }

    public func decode(_ row: inout RowReader) throws -> Value { try row.next() }
}

/// An organisation with a client that may read.
public struct FixtureOrganisation: Sendable, Hashable {
    public let id: String
    public let credential: FixtureCredential
}

/// An organisation's purpose.
public struct FixtureActivity: Sendable, Hashable {
    public let id: UUID
    public let organisation: String
    public let purpose: String
    public let attributes: [String]
}

/// A resident of the register with an account that is signed in.
public struct FixtureResident: Sendable, Hashable {
    public let id: ResidentID
    public let accountID: AccountID
    public let publicCode: PublicCode
    public let session: FixtureCredential
    public let values: [String: String]
}

/// A member of staff who is signed in.
public struct FixtureStaff: Sendable, Hashable {
    public let id: StaffID
    public let username: String
    public let session: FixtureCredential
}

/// Writes people and organisations into one test database.
public struct CityFixture: Sendable {
    /// Connected as `stoa_owner`.
    public let owner: Database
    /// Connected as `stoa_app`: what the server has.
    public let app: Database
    public let vault: ResidentVault
    public let lookup: LookupKey
    /// The database, for psql and further connections.
    public let test: TestDatabase

    public init(owner: Database, app: Database, test: TestDatabase) {
        self.owner = owner
        self.app = app
        self.test = test
        vault = ResidentVault(keyEncryptionKey: [UInt8](repeating: 7, count: 32))
        lookup = LookupKey(secret: [UInt8](repeating: 9, count: 32))
    }

    // MARK: Organisations

    /// An organisation, its client, and an access token of the client.
    public func organisation(_ id: String, scope: [String] = ["exchange.read"]) async throws -> FixtureOrganisation {
        let name = JSONText("{\"en\": \"\(id) (en)\", \"fr\": \"\(id) (fr)\"}")
        try await owner.execute(
            "INSERT INTO consent.organisation (id, name, kind) VALUES (\(id), \(name), 'other') ON CONFLICT DO NOTHING")
        try await owner.execute(
            """
            INSERT INTO openid.client (id, kind, organisation_id, name, jwks, scope)
            VALUES (\(id), 'confidential', \(id), \(name), '{}', \(scope)) ON CONFLICT DO NOTHING
            """)
        return FixtureOrganisation(id: id, credential: try await clientToken(id, scope: scope))
    }

    /// Another access token of an organisation's client.
    public func clientToken(_ organisation: String, scope: [String] = ["exchange.read"], secondsLeft: Int = 3600) async throws -> FixtureCredential {
        let credential = FixtureCredential()
        try await owner.execute(
            """
            INSERT INTO web.credential (hash, kind, client_id, organisation_id, scope, authenticator_assurance, expires_at)
            VALUES (\(credential.hash.bytes), 'access_token', \(organisation), \(organisation), \(scope), 1,
                    public.stoa_now() + make_interval(secs => \(secondsLeft)::integer))
            """)
        return credential
    }

    /// A purpose. Without a law it rests on consent.
    public func activity(
        _ organisation: FixtureOrganisation, _ purpose: String, attributes: [String], law: String? = nil, validMonths: Int? = nil
    ) async throws -> FixtureActivity {
        let id = UUID()
        try await owner.transaction { transaction in
            try await transaction.execute(
                """
                INSERT INTO consent.processing_activity (id, organisation_id, purpose, legal_basis, law)
                VALUES (\(id), \(organisation.id), \(purpose), \(law == nil ? "consent" : "public_task"), \(law as String?))
                """)
            try await transaction.execute(policy(id, version: 1, purpose: purpose, attributes: attributes, validMonths: validMonths))
        }
        return FixtureActivity(id: id, organisation: organisation.id, purpose: purpose, attributes: attributes)
    }

    /// A new policy version, which stands from now on.
    public func publish(_ activity: FixtureActivity, version: Int, attributes: [String], validMonths: Int? = nil) async throws {
        try await owner.transaction { transaction in
            try await transaction.execute(policy(activity.id, version: version, purpose: activity.purpose, attributes: attributes, validMonths: validMonths))
            try await transaction.execute(
                "UPDATE consent.processing_activity SET policy_version = \(Int32(version)) WHERE id = \(activity.id)")
        }
    }

    private func policy(_ activity: UUID, version: Int, purpose: String, attributes: [String], validMonths: Int?) -> SQL {
        """
        INSERT INTO consent.policy (activity_id, version, attributes, title, explanation, valid_months)
        VALUES (\(activity), \(Int32(version)), \(attributes),
                \(JSONText("{\"en\": \"\(purpose) title \(version)\", \"fr\": \"\(purpose) titre \(version)\"}")),
                \(JSONText("{\"en\": \"\(purpose) explanation \(version)\"}")), \(validMonths.map { Int32($0) } as Int32?))
        """
    }

    /// The name under which an organisation knows a resident, made when it has none yet.
    public func pseudonym(of resident: FixtureResident, for organisation: FixtureOrganisation) async throws -> UUID {
        try await owner.execute(
            """
            INSERT INTO exchange.pseudonym (organisation_id, resident_id) VALUES (\(organisation.id), \(resident.id))
            ON CONFLICT (resident_id, organisation_id) DO NOTHING
            """)
        return try await owner.one(
            OneValue("SELECT pseudonym FROM exchange.pseudonym WHERE organisation_id = \(organisation.id) AND resident_id = \(resident.id)"))
    }

    // MARK: Residents

    /// A resident with sealed attributes, an account and a session.
    /// - Parameter values: by attribute id.
    public func resident(
        _ values: [String: String] = ["given_names": "Ada", "family_name": "Byron", "date_of_birth": "1815-12-10", "locality": "Porto"],
        language: String = "en", identityAssurance: Int = 2
    ) async throws -> FixtureResident {
        let id = ResidentID.new()
        let account = AccountID.new()
        let code = PublicCode.random()
        let (key, wrapped) = try vault.makeDataKey(for: id)
        let sealed = try values.map { try (attribute: $0, value: vault.seal($1, as: Attribute(rawValue: $0), of: id, under: key)) }
        try await owner.transaction { transaction in
            try await transaction.execute(
                """
                INSERT INTO register.resident (id, public_code, origin, identity_assurance)
                VALUES (\(id), \(code.description), 'population_register', \(Int32(identityAssurance)))
                """)
            try await transaction.execute(
                "INSERT INTO register.data_key (resident_id, key_id, wrapped_key) VALUES (\(id), \(wrapped.keyID), \(wrapped.bytes))")
            try await transaction.execute(
                """
                INSERT INTO register.sealed_attribute (resident_id, attribute, sealed_value, source)
                SELECT \(id), v.attribute, v.value, 'population_register'
                FROM unnest(\(sealed.map(\.attribute)), \(sealed.map(\.value))) AS v (attribute, value)
                """)
            for (kind, hmac) in try lookups(values) {
                try await transaction.execute("INSERT INTO register.lookup (kind, hmac, resident_id) VALUES (\(kind), \(hmac), \(id))")
            }
            try await transaction.execute(
                """
                INSERT INTO identity.account (id, resident_id, password_hash, language)
                VALUES (\(account), \(id), '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$none', \(language))
                """)
        }
        return FixtureResident(id: id, accountID: account, publicCode: code, session: try await session(of: account), values: values)
    }

    private func lookups(_ values: [String: String]) throws -> [(kind: String, hmac: [UInt8])] {
        var lookups: [(kind: String, hmac: [UInt8])] = []
        if let number = values["national_number"] { lookups.append(("national_number", lookup.nationalNumber(number))) }
        if let given = values["given_names"], let born = values["date_of_birth"].flatMap({ CalendarDay($0) }) {
            lookups.append(("name_and_birth_date", lookup.nameAndBirthDate(givenNames: given, familyName: values["family_name"] ?? "", born: born)))
        }
        return lookups
    }

    /// Another session of a resident.
    public func session(of account: AccountID, secondsLeft: Int = 3600) async throws -> FixtureCredential {
        let credential = FixtureCredential()
        try await owner.execute(
            """
            INSERT INTO web.credential (hash, kind, account_id, authenticator_assurance, idle_after, expires_at)
            VALUES (\(credential.hash.bytes), 'session', \(account), 1, interval '15 minutes',
                    public.stoa_now() + make_interval(secs => \(secondsLeft)::integer))
            """)
        return credential
    }

    /// The access token of a resident's app.
    public func appToken(of resident: FixtureResident, scope: [String], secondsLeft: Int = 3600) async throws -> FixtureCredential {
        try await owner.execute(
            """
            INSERT INTO openid.client (id, kind, name, redirect_uris, scope)
            VALUES ('fixture-app', 'public', '{"en": "Fixture app"}', '{http://127.0.0.1/callback}',
                    '{profile,consents,access_log,bills,payments,messages,export}')
            ON CONFLICT DO NOTHING
            """)
        let credential = FixtureCredential()
        try await owner.execute(
            """
            INSERT INTO web.credential (hash, kind, account_id, client_id, scope, authenticator_assurance, expires_at)
            VALUES (\(credential.hash.bytes), 'access_token', \(resident.accountID), 'fixture-app', \(scope), 1,
                    public.stoa_now() + make_interval(secs => \(secondsLeft)::integer))
            """)
        return credential
    }

    // MARK: Staff

    public func staff(roles: [StaffRole], username: String? = nil) async throws -> FixtureStaff {
        let id = StaffID.new()
        let credential = FixtureCredential()
        let name = username ?? "staff-\(id.description.suffix(12))"
        try await owner.execute(
            """
            INSERT INTO identity.staff (id, username, display_name, password_hash, roles)
            VALUES (\(id), \(name), \(name), '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$none', \(roles.map(\.rawValue)))
            """)
        try await owner.execute(
            """
            INSERT INTO web.credential (hash, kind, staff_id, authenticator_assurance, idle_after, expires_at)
            VALUES (\(credential.hash.bytes), 'session', \(id), 1, interval '15 minutes', public.stoa_now() + interval '1 hour')
            """)
        return FixtureStaff(id: id, username: name, session: credential)
    }

    // MARK: What happens

    /// Moves one switch as the resident does on the page.
    /// - Parameter kind: `given` or `withdrawn`.
    /// - Returns: the outcome's word, such as `recorded`.
    @discardableResult
    public func decide(_ kind: String, _ activity: FixtureActivity, by resident: FixtureResident, attributes: [String]? = nil) async throws -> String {
        try await app.one(
            OneValue(
                """
                SELECT consent.decide(\(resident.session.hash.bytes), \(UUID()), \(activity.id), \(kind), \(attributes as [String]?), NULL, 'en')
                """))
    }

    /// Ends a credential.
    public func revoke(_ credential: FixtureCredential) async throws {
        try await owner.execute("UPDATE web.credential SET revoked_at = public.stoa_now() WHERE hash = \(credential.hash.bytes)")
    }

    /// Moves the clock of this database, forward or back, from where it stands in the real world.
    public func setClock(secondsAhead: Int) async throws {
        try await owner.execute(
            """
            CREATE OR REPLACE FUNCTION public.stoa_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
            RETURN statement_timestamp() + interval '\(unsafeRaw: String(secondsAhead)) seconds'
            """)
    }

    /// Stops the clock of this database at a moment, to the microsecond.
    public func stopClock(at moment: Date) async throws {
        let microseconds = Int64((moment.timeIntervalSince1970 * 1_000_000).rounded())
        try await owner.execute(
            """
            CREATE OR REPLACE FUNCTION public.stoa_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
            RETURN timestamptz 'epoch' + \(unsafeRaw: String(microseconds)) * interval '1 microsecond'
            """)
    }

    /// How many access entries there are that a condition holds for.
    public func entryCount(where condition: SQL = "true") async throws -> Int {
        try await Int(owner.one(OneValue("SELECT count(*) FROM access_log.entry AS e WHERE \(condition)", of: Int64.self)))
    }
}
