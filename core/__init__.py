"""The science of Diffusion Explorer; it never draws. One notation everywhere, but for z, which has two meanings,
and for a tensor called noise, which is a draw of eps:

===============  ===========================================  ============  ======================================
symbol           meaning                                      shape         paper
===============  ===========================================  ============  ======================================
n, p, k          flips, chance of heads, heads                numbers       de Moivre (1738)
T, t             steps of noising; time, 0 is clean           integers      Ho et al. (2020), arXiv 2006.11239
x0, x_t          a picture, and it after t steps of noise     (B, C, H, W)  Ho et al., eq. 2
eps              standard normal noise                        as x0         Ho et al., eq. 4
beta_t           variance that step t adds                    (T + 1,)      Ho et al., eq. 2
alpha_bar_t      share of the variance that is still signal   (T + 1,)      Ho et al., eq. 4
signal, noise    sqrt(alpha_bar), sqrt(1 - alpha_bar)         (T + 1,)      Ho et al., eq. 4
sigma_t          noise / signal                               (T + 1,)      Karras et al. (2022), 2206.00364
snr_t            (signal / noise)^2                           (T + 1,)      Kingma et al. (2021), 2107.00630
lambda_t         log(signal / noise) = log(snr) / 2           (T + 1,)      Lu et al. (2022), 2206.00927
x_bar            x_t / signal = x0 + sigma eps                as x0         Song et al. (2021), eq. 14; Karras's x
v                signal eps - noise x0                        as x0         Salimans & Ho (2022), 2202.00512
reading          a network's parametrisation: eps, x0 or v    name          Salimans & Ho, section 4
eta              standard deviation of a step's fresh noise,  number        Song et al. (2021), 2010.02502, eq. 16
                 as a share of the DDPM posterior's
scale            guidance; 1 is none, Ho's w is scale - 1     number        Ho & Salimans (2022), 2207.12598
z, of a sampler  fresh standard normal noise of a step        as x0         Ho et al., algorithm 2
z, of a VAE      a latent, the picture inside the VAE         (B, 4, h, w)  Rombach et al. (2022), 2112.10752
context          what the words became                        (B, 77, D)    Radford et al. (2021), 2103.00020
===============  ===========================================  ============  ======================================
"""
