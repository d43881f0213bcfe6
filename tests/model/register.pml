/* Leaderless row register of Ringstack: one model for
 *   A  one-round writes and reads          (default)
 *   B  + conditional writes (CASPaxos)     (use CAS ops)
 *   C  + tombstones, floor, purge          (-DPURGE)
 *   D  + one reconfiguration ABC -> ABD    (-DRECONF)
 * Operations, sizes and mutants come by -D; see configs.
 * A request in flight is a bit: held by its operation while that runs, by the
 * set gacc/gprep afterwards. A lost message is one that is never delivered; a
 * time-out is an operation that never answers (its effect stays possible for
 * ever). Ballots are unique and otherwise arbitrary (clocks may be skewed).
 * Check at every answer: is the history (operations, results, real-time
 * precedence, unanswered ones optional) linearizable?  lin_ok() below.
 */
#ifndef NB
#define NB 4          /* ballots 1..NB, at most 8 */
#endif
#ifndef TRIES
#define TRIES 1       /* retries an operation may make */
#endif
#define W   1
#define DEL 2
#define R   3
#define CAS 4
#ifndef K0
#define K0 W
#endif
#ifndef K1
#define K1 W
#endif
#ifndef K2
#define K2 R
#endif
#ifndef K3
#define K3 R
#endif
#ifndef K4
#define K4 R
#endif
#ifndef X0
#define X0 0          /* Xi: value that CAS i expects; 0 = absent; j+1 = written by operation j */
#endif
#ifndef X1
#define X1 0
#endif
#ifndef X2
#define X2 0
#endif
#ifndef X3
#define X3 0
#endif
#ifndef X4
#define X4 0
#endif
#ifndef NOPS
#define NOPS 4
#endif

#define MAJ_OLD(m) (((m)&3)==3 || ((m)&5)==5 || ((m)&6)==6)
#ifdef RECONF
#define NR 4
#define NE 3
#define MAJ_NEW(m) (((m)&3)==3 || ((m)&9)==9 || ((m)&10)==10)
#ifdef M5   /* joint writes need the old majority only */
#define MAJ(m,e) ((e)==3 -> MAJ_NEW(m) : MAJ_OLD(m))
#else
#define MAJ(m,e) ((e)==1 -> MAJ_OLD(m) : ((e)==3 -> MAJ_NEW(m) : (MAJ_OLD(m) && MAJ_NEW(m))))
#endif
#if defined(READOLD) || defined(M5)   /* the architecture's first text */
#define RMAJ(m,e) ((e)==3 -> MAJ_NEW(m) : MAJ_OLD(m))
#else
#define RMAJ(m,e) MAJ(m,e)
#endif
#define ALL(e) ((e)==1 -> 7 : ((e)==3 -> 11 : 15))
byte ep[NR] = 1;
byte pub = 1;         /* highest epoch published by the control store */
#define STALE(r,e) ((e) < ep[r])
#else
#define NR 3
#define NE 1
#define MAJ(m,e) MAJ_OLD(m)
#define RMAJ(m,e) MAJ_OLD(m)
#define ALL(e) 7
#define STALE(r,e) false
#endif

byte acc[NR], prom[NR];     /* accepted and promised ballot of each replica */
byte val[NB+1];             /* the value that goes with a ballot */
byte used;                  /* bit b-1: ballot b was handed out */
byte gacc[NR*NE], gprep[NR*NE];   /* requests in flight without an owner */
#ifdef PURGE
byte flr[NR];
#define FLR(r) flr[r]
#else
#define FLR(r) 0
#endif
byte st[NOPS], prec[NOPS], res[NOPS];
bit bad;
#ifndef FIRSTR
#define FIRSTR 2       /* the first reader; readers come last */
#endif
#ifndef SEQR
#define SEQR 1        /* 2: a reader starts after the reader before it has answered */
#endif
#define OKAY 1
#define FAIL 2

c_code {
	static const int kd[5] = {K0,K1,K2,K3,K4}, xp[5] = {X0,X1,X2,X3,X4};
	static int lin_rec(int done, int cur)
	{
		int i, all = 1;
		for (i = 0; i < NOPS; i++)
			if (now.st[i] == 2 && !(done >> i & 1)) all = 0;
		if (all) return 1;
		for (i = 0; i < NOPS; i++) {
			if (now.st[i] == 0 || (done >> i & 1)) continue;
			if (now.prec[i] & ~done) continue;
			int c = cur, fin = now.st[i] == 2;
			switch (kd[i]) {
			case W: c = i + 1; break;
			case DEL: c = 0; break;
			case R: if (!fin || now.res[i] != cur) continue; break;
			case CAS:
				if (fin && now.res[i] == FAIL) { if (cur == xp[i]) continue; }
				else { if (cur != xp[i]) continue; c = i + 1; }
				break;
			}
			if (lin_rec(done | 1 << i, c)) return 1;
		}
		return 0;
	}
	static int lin_ok(void) { return lin_rec(0, 0); }
};

#define BIT(b) (1<<((b)-1))
#define MX(a,b) ((a)>(b) -> (a) : (b))

#ifdef NOGP
#define GPK 0
#else
#define GPK 255
#endif
inline norm(r) {            /* forget requests in flight that can have no effect any more */
#ifndef PURGE
#ifndef M4
#ifndef MVOL
	gacc[r]  = gacc[r]  & ~((1<<MX(acc[r], MX(prom[r],1)-1))-1);
	gprep[r] = GPK & gprep[r] & ~((1<<MX(acc[r], prom[r]))-1);
#ifdef RECONF
	gacc[NR+r]  = gacc[NR+r]  & ~((1<<MX(acc[r], MX(prom[r],1)-1))-1);
	gprep[NR+r] = GPK & gprep[NR+r] & ~((1<<MX(acc[r], prom[r]))-1);
	gacc[2*NR+r]  = gacc[2*NR+r]  & ~((1<<MX(acc[r], MX(prom[r],1)-1))-1);
	gprep[2*NR+r] = GPK & gprep[2*NR+r] & ~((1<<MX(acc[r], prom[r]))-1);
#endif
#endif
#endif
#endif
	skip
}
inline adopt(r, e) {
#ifdef RECONF
	if
	:: e > ep[r] -> ep[r] = e;
		gacc[r] = 0; gprep[r] = 0;
		if :: e == 3 -> gacc[NR+r] = 0; gprep[NR+r] = 0 :: else fi
	:: else
	fi;
#endif
	skip
}
/* a replica's answer to accept(bb); wb = this is a read's write-back */
inline dacc(r, bb, e, wb) {
	if
	:: STALE(r,e) -> rep = 0
	:: else ->
		adopt(r, e);
		if
#ifdef M4
		:: bb > acc[r] && (bb >= prom[r] || wb) && bb > FLR(r) ->
#else
		:: bb > acc[r] && bb >= prom[r] && bb > FLR(r) ->
#endif
			acc[r] = bb; prom[r] = MX(bb, prom[r]); norm(r); rep = 1
		:: bb == acc[r] -> rep = 1
		:: else -> rep = 0
		fi
	fi
}
inline dprep(r, bb, e) {
	if
	:: STALE(r,e) -> rep = 0
	:: else ->
		adopt(r, e);
		if
		:: bb > acc[r] && bb > prom[r] && bb > FLR(r) -> prom[r] = bb; norm(r); rep = 1
		:: else -> rep = 0
		fi
	fi
}
#ifdef RECONF
#define GI(r,e) ((e)-1)*NR+(r)
#else
#define GI(r,e) (r)
#endif
#define LV1(g,r,bb,e,ms) if :: (ms)&(1<<r) -> g[GI(r,e)] = g[GI(r,e)] | BIT(bb) :: else fi; norm(r)
#ifdef RECONF
#define LV(g,bb,e,ms) LV1(g,0,bb,e,ms); LV1(g,1,bb,e,ms); LV1(g,2,bb,e,ms); LV1(g,3,bb,e,ms); DEAD(0); DEAD(1); DEAD(2); DEAD(3)
#define DEAD(r) if :: ep[r]>1 -> gacc[r]=0; gprep[r]=0 :: else fi; if :: ep[r]>2 -> gacc[NR+r]=0; gprep[NR+r]=0 :: else fi
#else
#define LV(g,bb,e,ms) LV1(g,0,bb,e,ms); LV1(g,1,bb,e,ms); LV1(g,2,bb,e,ms)
#endif

#define NEWB1(n) :: (n) <= NB && !(used & BIT(n)) && (n) > lo -> b = n
inline newb() {
	if
	NEWB1(1)
	NEWB1(2)
	NEWB1(3)
	NEWB1(4)
#if NB > 4
	NEWB1(5)
#endif
#if NB > 5
	NEWB1(6)
#endif
	fi;
	used = used | BIT(b)
}
inline answer(v) {
	st[i] = 2; res[i] = v;
	c_code { now.bad = !lin_ok(); };
	assert(!bad)
}
#define ACC1(r,wb) :: atomic { pend & (1<<r) -> pend = pend & ~(1<<r); dacc(r, b, e, wb); if :: rep -> yes = yes | (1<<r) :: else -> no = no | (1<<r) fi; rep = 0 }
#define PRE1(r) :: atomic { pend & (1<<r) -> pend = pend & ~(1<<r); dprep(r, b, e); \
	if :: rep -> if :: see(r) :: skip fi :: else -> no = no | (1<<r) fi; rep = 0 }
#define QRY1(r) :: atomic { pend & (1<<r) -> pend = pend & ~(1<<r); \
	if :: STALE(r,e) -> no = no | (1<<r) :: else -> adopt(r,e); see(r) fi }
inline see(r) {
	got = got | (1<<r);
	if
	:: acc[r] > m -> m = acc[r]; hold = 1<<r
	:: acc[r] == m -> hold = hold | (1<<r)
	:: else
	fi
}
#ifdef RECONF
#define ACCS(wb) ACC1(0,wb) ACC1(1,wb) ACC1(2,wb) ACC1(3,wb)
#define PRES PRE1(0) PRE1(1) PRE1(2) PRE1(3)
#define QRYS QRY1(0) QRY1(1) QRY1(2) QRY1(3)
#else
#define ACCS(wb) ACC1(0,wb) ACC1(1,wb) ACC1(2,wb)
#define PRES PRE1(0) PRE1(1) PRE1(2)
#define QRYS QRY1(0) QRY1(1) QRY1(2)
#endif
inline epoch() {            /* a proxy may know any published epoch */
#ifdef RECONF
	if
	:: e < 1 -> e = 1
	:: e < 2 && pub >= 2 -> e = 2
	:: e < 3 && pub >= 3 -> e = 3
	:: e >= 1 -> skip
	fi
#else
	e = 1
#endif
}

#define P3 (st[0]==2) + 2*(st[1]==2) + 4*(st[2]==2)
#if NOPS > 4
#define PREC (P3 + 8*(st[3]==2) + 16*(st[4]==2))
#elif NOPS > 3
#define PREC (P3 + 8*(st[3]==2))
#elif NOPS > 2
#define PREC (P3)
#else
#define PREC ((st[0]==2) + 2*(st[1]==2))
#endif
proctype op(byte i; byte k; byte x) {
	byte b, m, lo, e, t, pend, yes, no, got, hold; bit rep;
	atomic {
		(i == 0 || k != R || st[i-1] >= SEQR || i == FIRSTR);     /* readers are alike: start in order */
#ifdef SEQW  /* writers are alike (ballots are arbitrary): they start in order */
		(i == 0 || k != W || st[i-1] >= 1);
#endif
#ifdef RLAST /* the last operation, a reader, starts when all else has answered */
		(i != NOPS-1 || (st[0] == 2 && st[1] == 2 && (NOPS < 4 || st[2] == 2)));
#endif
#ifdef SEQX  /* W0 ... R2, then W1, then R3: guides the search for W, X, W */
		(i != 1 || st[2] == 2) && (i != 3 || st[1] == 2);
#endif
		st[i] = 1;
		prec[i] = PREC;
		epoch()
	};
	if :: k == R -> goto LR :: k == CAS -> goto LP :: else fi;
LW:	atomic { newb(); val[b] = (k == DEL -> 0 : i+1); pend = ALL(e); yes = 0; no = 0 };
	do
	ACCS(0)
	:: atomic { MAJ(yes,e) -> LV(gacc,b,e,pend); answer(OKAY); goto END }
#if defined(M3)
	:: atomic { MAJ(no,e) && t < TRIES -> t++; LV(gacc,b,e,pend); lo = b; goto LW }
#elif defined(M2)
	:: atomic { t < TRIES -> t++; LV(gacc,b,e,pend); lo = b; goto LW }
#else
	:: atomic { pend == 0 && yes == 0 && no == ALL(e) && t < TRIES -> t++; lo = b; epoch(); goto LW }
#endif
#ifdef RECONF
	/* same ballot again under a newer epoch; only its answers count; no other ballot afterwards */
	:: atomic { no != 0 && e < pub -> t = TRIES; LV(gacc,b,e,pend); e = pub; pend = ALL(e); yes = 0; no = 0 }
#endif
	od;
LR:	atomic { m = 0; got = 0; hold = 0; no = 0; pend = ALL(e) };
	do
	QRYS
	:: atomic { RMAJ(got,e) -> break }
#ifdef RECONF
	:: atomic { no != 0 && e < pub && t < TRIES -> t++; e = pub; goto LR }
#endif
	od;
	if
#ifdef M1
	:: atomic { answer(val[m]); goto END }
#else
	:: atomic { RMAJ(hold,e) -> answer(val[m]); goto END }
#endif
	:: atomic { !RMAJ(hold,e) -> b = m; lo = m; pend = ALL(e) & ~hold; yes = hold; no = 0; got = 0; hold = 0 }
	fi;
	do
	ACCS(1)
	:: atomic { MAJ(yes,e) -> LV(gacc,b,e,pend); answer(val[b]); goto END }
	:: atomic { no != 0 -> LV(gacc,b,e,pend); epoch(); break }
	od;
LP:	atomic { newb(); m = 0; got = 0; hold = 0; yes = 0; no = 0; pend = ALL(e) };
	do
	PRES
	:: atomic { MAJ(got,e) -> break }
	:: atomic { no != 0 && t < TRIES -> t++; LV(gprep,b,e,pend); lo = b; epoch(); goto LP }
	od;
	atomic {
		LV(gprep,b,e,pend);
		if
		:: k == CAS && val[m] == x -> val[b] = i+1; m = 0
		:: k == CAS && val[m] != x && (MAJ(hold,e)
#ifdef M7
			|| true
#endif
			) -> answer(FAIL); goto END
		:: else -> val[b] = val[m]; m = 1      /* m = 1: re-accept of what is there */
		fi;
		pend = ALL(e); got = 0; hold = 0; no = 0
	};
	do
	ACCS(0)
	:: atomic { MAJ(yes,e) -> LV(gacc,b,e,pend);
		if :: k == R -> answer(val[b]) :: k == CAS && m == 0 -> answer(OKAY) :: else -> answer(FAIL) fi; goto END }
	:: atomic { no != 0 && m == 1 && t < TRIES -> t++; LV(gacc,b,e,pend); lo = b; epoch(); goto LP }
	:: atomic { m == 0 && no == ALL(e) && t < TRIES -> t++; lo = b; epoch(); goto LP }
#ifdef RESUME   /* mutant: the accept goes on in a newer epoch on the strength of the old prepare */
	:: atomic { no != 0 && e < pub -> t = TRIES; LV(gacc,b,e,pend); e = pub; pend = ALL(e); yes = 0; no = 0 }
#endif
	od;
END:	b = 0; m = 0; lo = 0; e = 0; t = 0; pend = 0; yes = 0; no = 0; got = 0; hold = 0
}

#define GA(r,b,e) :: atomic { gacc[GI(r,e)] & BIT(b) -> gacc[GI(r,e)] = gacc[GI(r,e)] & ~BIT(b); dacc(r,b,e,0); rep = 0 }
#define GP(r,b,e) :: atomic { gprep[GI(r,e)] & BIT(b) -> gprep[GI(r,e)] = gprep[GI(r,e)] & ~BIT(b); dprep(r,b,e); rep = 0 }
#ifdef NOGP   /* leave out late prepares */
#define GB(r,b,e) GA(r,b,e)
#else
#define GB(r,b,e) GA(r,b,e) GP(r,b,e)
#endif
#if NB > 5
#define GR(r,e) GB(r,1,e) GB(r,2,e) GB(r,3,e) GB(r,4,e) GB(r,5,e) GB(r,6,e)
#elif NB > 4
#define GR(r,e) GB(r,1,e) GB(r,2,e) GB(r,3,e) GB(r,4,e) GB(r,5,e)
#elif NB > 3
#define GR(r,e) GB(r,1,e) GB(r,2,e) GB(r,3,e) GB(r,4,e)
#else
#define GR(r,e) GB(r,1,e) GB(r,2,e) GB(r,3,e)
#endif
proctype net() {
	bit rep;
	do
	GR(0,1) GR(1,1) GR(2,1)
#ifdef RECONF
	GR(0,2) GR(1,2) GR(2,2) GR(3,2) GR(0,3) GR(1,3) GR(3,3)
#endif
#ifdef MVOL   /* mutant: a restart forgets the promise (not the value) */
	:: atomic { prom[0] > acc[0] -> prom[0] = acc[0] }
#endif
	od
}

#ifdef PURGE
#define HAS(r)   atomic { acc[r] == t && val[t] == 0 -> skip }
#ifdef M6
#define RAISE(r) skip
#else
#define RAISE(r) atomic { flr[r] = f }
#endif
#ifdef PROMDROP   /* mutant: purging forgets a promise above the floor */
#define PURGEABLE(r) (acc[r] == t)
#else
#define PURGEABLE(r) (acc[r] == t && prom[r] <= flr[r])
#endif
#ifdef M6
#undef PURGEABLE
#define PURGEABLE(r) (acc[r] == t)
#endif
#define DROP(r)  if :: atomic { PURGEABLE(r) -> acc[r] = 0; prom[r] = 0 } :: skip fi
proctype purge() {
	byte t, f;
	if :: atomic { acc[0] != 0 && val[acc[0]] == 0 -> t = acc[0] } fi;
	HAS(1);
#ifndef PURGEMAJ  /* mutant: a majority has the tombstone */
	HAS(2);
#endif
	f = t;
#ifdef FLOORPART  /* floor of a whole partition: any height above the tombstone */
	do :: f < NB - 1 -> f++ :: break od;
#endif
#ifdef FLOORLATE  /* mutant: purge first, floor later */
	DROP(0); DROP(1); DROP(2); RAISE(0); RAISE(1); RAISE(2);
#elif defined(FLOORMIX) /* mutant: each replica raises and drops by itself, nobody waits for the others */
	RAISE(0); DROP(0); RAISE(1); DROP(1); RAISE(2); DROP(2);
#else
	RAISE(0); RAISE(1); RAISE(2); DROP(0); DROP(1); DROP(2);
#endif
	t = 0; f = 0
}
#endif

#ifdef RECONF
#ifdef NOSEAL     /* mutant: the copier's reads do not carry the joint epoch */
#define CREAD(r) atomic { m = MX(m, acc[r]); c++ }
#else
#define CREAD(r) atomic { ep[r] <= 2 -> adopt(r,2); m = MX(m, acc[r]); c++ }
#endif
/* bring member d to what a majority of the old set holds */
inline sync(d) {
	m = 0; c = 0;
	if
	:: CREAD(0); CREAD(1)
	:: CREAD(0); CREAD(2)
	:: CREAD(1); CREAD(2)
	fi;
	atomic {
		if :: m == 0 || acc[d] >= m -> adopt(d,2) :: else -> dacc(d, m, 2, 0); rep; rep = 0 fi;
		m = 0; c = 0
	}
}
proctype manager() {
	byte m, c; bit rep;
	pub = 2;
#ifndef NOFORCE   /* mutant: copying starts before the joint epoch is in force */
	do
	:: atomic { ep[0] < 2 -> adopt(0,2) }
	:: atomic { ep[1] < 2 -> adopt(1,2) }
	:: atomic { ep[2] < 2 -> adopt(2,2) }
	:: atomic { (ep[0]>1) + (ep[1]>1) + (ep[2]>1) >= 2 -> break }
	od;
#endif
#if defined(SYNCD)        /* only the joining member is copied */
	sync(3);
#elif defined(SYNCAB)     /* A and B are proved, D stays empty */
	sync(0); sync(1);
#elif defined(NOSYNC)     /* mutant */
	skip;
#else
	if :: sync(0); sync(1) :: sync(0); sync(3) :: sync(3); sync(1) :: sync(3); sync(0) fi;
#endif
#ifdef SEAL3      /* every replica adopts epoch 3 before any proxy learns of it */
	atomic { adopt(0,3); adopt(1,3); adopt(2,3); adopt(3,3) };
#endif
	pub = 3
}
#endif

init {
	atomic {
		run net();
#ifdef PURGE
		run purge();
#endif
#ifdef RECONF
		run manager();
#endif
		run op(0, K0, X0);
		run op(1, K1, X1);
#if NOPS > 2
		run op(2, K2, X2);
#endif
#if NOPS > 3
		run op(3, K3, X3);
#endif
#if NOPS > 4
		run op(4, K4, X4);
#endif
	}
}
